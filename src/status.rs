//! The one shape of status that the socket, MQTT and the page share.
