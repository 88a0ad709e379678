//! Control: what operators and other programs on the device may ask for.
