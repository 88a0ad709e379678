use rustix::io::Errno;

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::setting::{find, settle, unknown};
use super::*;

fn control(id: u32, name: &str, kind: Kind, minimum: i64, maximum: i64) -> Control {
    Control {
        name: name.to_owned(),
        id,
        kind,
        minimum,
        maximum,
        step: 1,
        default: minimum,
        value: Some(minimum),
        entries: Vec::new(),
        inactive: false,
        read_only: false,
        volatile: false,
        wide: false,
    }
}

fn menu(id: u32, name: &str, labels: &[(i64, &str)]) -> Control {
    let entries = labels.iter().map(|&(value, label)| Entry { value, label: label.to_owned() });
    Control { entries: entries.collect(), ..control(id, name, Kind::Menu, 0, 3) }
}

/// A webcam: its exposure can be set in manual mode only, and going there resets it.
struct Webcam {
    controls: RefCell<Vec<Control>>,
    set: RefCell<Vec<String>>,
}

const EXPOSURE_MODES: [(i64, &str); 2] = [(1, "Manual Mode"), (3, "Aperture Priority Mode")];

impl Webcam {
    fn new() -> Self {
        let mut mode = menu(1, "auto_exposure", &EXPOSURE_MODES);
        mode.value = Some(3);
        let mut time = control(2, "exposure_time_absolute", Kind::Number, 3, 2047);
        time.inactive = true;
        let mut pan = control(4, "pan_absolute", Kind::Number, -36_000, 36_000);
        pan.step = 3_600;
        let gain = control(3, "gain", Kind::Number, 0, 255);
        let mut serial = control(5, "unit_serial", Kind::Number, 0, 9);
        serial.read_only = true;
        let on = control(6, "white_balance_automatic", Kind::Switch, 0, 1);
        let controls = RefCell::new(vec![mode, time, gain, pan, serial, on]);
        Self { controls, set: RefCell::default() }
    }

    fn take(&self, control: &Control, value: i64) -> Result<i64, Fault> {
        self.set.borrow_mut().push(format!("{}={value}", control.name));
        let mut all = self.controls.borrow_mut();
        let at = all.iter().position(|c| c.id == control.id).unwrap();
        if all[at].inactive {
            return Err(Fault::Call { call: "VIDIOC_S_CTRL", error: Errno::ACCESS.into() });
        }
        let step = all[at].step.cast_signed();
        all[at].value = Some(value / step * step);
        if control.id == 1 {
            all[1].inactive = value == 3;
            all[1].value = Some(250);
        }
        Ok(value)
    }

    fn settle(&self, wanted: &[(&str, Wanted)]) -> Vec<String> {
        let wanted = wanted.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let list = || Ok(self.controls.borrow().clone());
        settle(&wanted.collect(), list, |control, value| self.take(control, value)).unwrap()
    }

    fn value(&self, name: &str) -> i64 {
        find(&self.controls.borrow(), name).unwrap().value.unwrap()
    }
}

fn entry(text: &str) -> Wanted {
    Wanted::Entry(text.to_owned())
}

#[test]
fn names_are_those_of_v4l2_ctl() {
    assert_eq!(name("Exposure Time, Absolute"), "exposure_time_absolute");
    assert_eq!(name("White Balance, Automatic"), "white_balance_automatic");
    assert_eq!(name(" LED1  Mode (x)"), "led1_mode_x");
    assert_eq!(name("S_Field"), "s_field");
    assert_eq!(name(""), "");
}

#[test]
fn the_mode_is_set_before_the_number_that_it_rules() {
    let webcam = Webcam::new();
    webcam.controls.borrow_mut()[0].name = "scene_mode".to_owned(); // behind it in the alphabet
    let wanted =
        [("exposure_time_absolute", Wanted::Number(157)), ("scene_mode", entry("manual mode"))];
    assert_eq!(webcam.settle(&wanted), Vec::<String>::new());
    assert_eq!((webcam.value("scene_mode"), webcam.value("exposure_time_absolute")), (1, 157));
    assert_eq!(*webcam.set.borrow(), ["scene_mode=1", "exposure_time_absolute=157"]);
}

#[test]
fn what_another_setting_undid_is_set_once_more() {
    let webcam = Webcam::new();
    let list = || Ok(webcam.controls.borrow().clone());
    let set = |control: &Control, value| {
        let got = webcam.take(control, value);
        if control.name == "pan_absolute" && webcam.set.borrow().len() == 2 {
            webcam.controls.borrow_mut()[2].value = Some(0); // the first turn of the head resets the gain
        }
        got
    };
    let wanted = [("gain", 40), ("pan_absolute", 3_600)];
    let wanted = wanted.map(|(name, n)| (name.to_owned(), Wanted::Number(n))).into();
    assert_eq!(settle(&wanted, list, set).unwrap(), Vec::<String>::new());
    assert_eq!(webcam.value("gain"), 40);
    assert_eq!(*webcam.set.borrow(), ["gain=40", "pan_absolute=3600", "gain=40"]);
}

#[test]
fn a_control_that_another_one_rules_is_told_with_its_ruler() {
    let webcam = Webcam::new();
    let complaints = webcam.settle(&[("exposure_time_absolute", Wanted::Number(157))]);
    let [complaint] = complaints.as_slice() else { panic!("{complaints:?}") };
    assert_eq!(
        complaint,
        "`exposure_time_absolute` does nothing now: `auto_exposure` rules it; set that first"
    );
}

#[test]
fn a_wrong_name_lists_near_ones_and_the_rest_is_set() {
    let webcam = Webcam::new();
    let complaints = webcam.settle(&[("exposure", Wanted::Number(5)), ("gain", Wanted::Number(9))]);
    assert_eq!(
        complaints,
        ["the camera has no control `exposure`; near it are `auto_exposure`, \
          `exposure_time_absolute` (`vedette devices --all` lists them)"]
    );
    assert_eq!(webcam.value("gain"), 9);
    let none = unknown(&webcam.controls.borrow(), "zoom");
    assert!(none.contains("it has `auto_exposure`") && none.contains('…'), "{none}");
    assert_eq!(unknown(&[], "zoom"), "the camera has no control `zoom`, nor any other");
}

#[test]
fn a_wrong_value_says_what_is_right_and_nothing_is_set() {
    let webcam = Webcam::new();
    let told = |name, wanted| webcam.settle(&[(name, wanted)]).join("; ");
    let says = [
        ("gain", Wanted::Number(300), "`gain` does not take 300; it takes 0 to 255"),
        ("gain", Wanted::Switch(true), "`gain` does not take true; it takes 0 to 255"),
        (
            "auto_exposure",
            entry("auto"),
            "`auto_exposure` does not take \"auto\"; it takes \"Manual Mode\" (1), \"Aperture \
             Priority Mode\" (3)",
        ),
        (
            "auto_exposure",
            Wanted::Number(2),
            "`auto_exposure` does not take 2; it takes \"Manual Mode\" (1), \"Aperture Priority \
             Mode\" (3)",
        ),
        (
            "white_balance_automatic",
            Wanted::Number(2),
            "`white_balance_automatic` does not take 2; it takes true or false",
        ),
        ("unit_serial", Wanted::Number(1), "`unit_serial` can only be read"),
    ];
    for (name, wanted, text) in says {
        assert_eq!(told(name, wanted), text);
    }
    assert!(webcam.set.borrow().is_empty());
}

#[test]
fn a_value_between_two_steps_is_the_cameras_to_round_and_a_refusal_is_told() {
    let webcam = Webcam::new();
    assert_eq!(webcam.settle(&[("pan_absolute", Wanted::Number(4_000))]), Vec::<String>::new());
    assert_eq!(webcam.value("pan_absolute"), 3_600);
    let list = || Ok(webcam.controls.borrow().clone());
    let refuse = |_: &Control, _| Err(Fault::Driver("no"));
    let wanted: BTreeMap<_, _> = [("gain".to_owned(), Wanted::Number(7))].into();
    let told = settle(&wanted, list, refuse).unwrap();
    assert_eq!(told, ["`gain` could not be set to 7 (no)"]);
    let ignore = |_: &Control, value| Ok(value);
    let told = settle(&wanted, list, ignore).unwrap();
    assert_eq!(told, ["`gain` was set to 7, and is 0"]);
}

#[test]
fn names_before_and_after_the_kernel_changed_them_are_the_same_control() {
    let webcam = Webcam::new();
    let old = [("exposure_auto", Wanted::Number(1)), ("exposure_absolute", Wanted::Number(99))];
    assert_eq!(webcam.settle(&old), Vec::<String>::new());
    assert_eq!(webcam.value("exposure_time_absolute"), 99);
    let older = [control(1, "exposure_auto", Kind::Menu, 0, 3)];
    assert!(find(&older, "auto_exposure").is_some());
}

#[test]
fn what_the_driver_says_of_a_control_becomes_its_kind_and_flags() {
    let mut name = [0; 32];
    name[..5].copy_from_slice(b"Gain\0");
    let d = Description {
        id: 7,
        kind: sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER64,
        name,
        minimum: 1,
        maximum: 9,
        step: 2,
        default: 3,
        flags: sys::V4L2_CTRL_FLAG_INACTIVE | sys::V4L2_CTRL_FLAG_READ_ONLY,
    };
    let control = Control::of(&d);
    assert_eq!((control.name.as_str(), control.kind, control.wide), ("gain", Kind::Number, true));
    assert!(control.inactive && control.read_only && !control.volatile);
    assert_eq!(control.range(), "1 to 9 in steps of 2");
    let bits = sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK;
    let bits = Control::of(&Description { kind: bits, maximum: -1, minimum: 0, ..d });
    assert_eq!((bits.kind, bits.maximum, bits.spell(9).as_str()), (Kind::Bits, 0xffff_ffff, "0x9"));
    assert_eq!(Kind::Bits.plain(i64::from(i32::MIN)), 0x8000_0000, "as vivid's mask is read");
    assert_eq!(Kind::Number.plain(-3), -3);
    let text = sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_STRING;
    assert_eq!(Control::of(&Description { kind: text, ..d }).kind, Kind::Other);
}

#[test]
fn what_a_driver_told_of_its_controls_before_it_failed_is_kept_and_the_rest_is_told_as_missing() {
    let broken = || Fault::Call { call: "VIDIOC_QUERY_EXT_CTRL", error: Errno::IO.into() };
    let mut name = [0; 32];
    name[..5].copy_from_slice(b"Gain\0");
    let kind = sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER;
    let d = |id| {
        let (minimum, maximum) = (0, 9);
        Description { id, kind, name, minimum, maximum, step: 1, default: 0, flags: 0 }
    };
    let fails_after =
        |last| walk(|id| if id < last { Ok(Some(d(id + 1))) } else { Err(broken()) }, Control::of);
    let list = fails_after(2).unwrap();
    assert_eq!(list.controls.len(), 2);
    let remark = list.remark().unwrap();
    assert!(remark.starts_with("the camera broke off telling its controls (VIDIOC_"), "{remark}");
    assert!(remark.ends_with("those after `gain` are not known"), "{remark}");
    assert!(fails_after(0).is_err(), "the first");
    let whole = walk(|id| Ok((id < 3).then(|| d(id + 1))), Control::of).unwrap();
    assert_eq!((whole.controls.len(), whole.remark()), (3, None));
}

#[test]
fn a_menu_entry_that_the_driver_fails_to_tell_is_left_out() {
    let menu = control(1, "auto_exposure", Kind::Menu, 0, 3);
    let told = |n| match n {
        0 => Ok(None),
        1 => Err(Fault::Call { call: "VIDIOC_QUERYMENU", error: Errno::IO.into() }),
        _ => Ok(Some(format!("mode {n}"))),
    };
    let labels: Vec<_> = entries(&menu, told).into_iter().map(|e| e.label).collect();
    assert_eq!(labels, ["mode 2", "mode 3"]);
}
