//! MQTT against a real broker: sessions over restarts, acknowledgements, last will, access lists, faults.
//!
//! mosquitto is started, killed and started again by the tests; what it does not do is done by a
//! scripted broker.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "mqtt/device.rs"]
mod device;
#[path = "mqtt/logs.rs"]
mod logs;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "mqtt/scripted.rs"]
mod scripted;

use device::{Device, Disk, ID, settings, soon, topic, tuning};
use mosquitto::mqtt_client::{Client, Message};
use mosquitto::{Mosquitto, Setup};
use vedette::spool::{Kind, Message as OutboxMessage};

/// The admin's client, which sees all that the device says.
fn observer(broker: &Mosquitto) -> Client {
    let mut client = broker.admin("observer");
    client.subscribe(&format!("vedette/v1/{ID}/#"));
    client
}

fn online(client: &mut Client, wanted: bool) -> serde_json::Value {
    let is = |m: &Message| m.topic == topic("online") && m.json()["online"] == wanted;
    client.wait_for(is).json()
}

// ---- the session

#[test]
fn a_command_sent_while_the_device_was_down_arrives_after_its_restart() {
    let broker = Mosquitto::start(&Setup::default());
    let mut observer = observer(&broker);
    let disk = Disk::new();

    let device = Device::start(settings(broker.port), &disk);
    online(&mut observer, true);
    device.stop();
    online(&mut observer, false);
    for id in ["a", "b", "c"] {
        observer.publish(&Message::new(&topic(&format!("cmd/{id}")), id));
    }

    let mut device = Device::start(settings(broker.port), &disk);
    for id in ["a", "b", "c"] {
        let delivery = device.delivery();
        assert_eq!(
            (delivery.topic.clone(), &*delivery.payload),
            (topic(&format!("cmd/{id}")), id.as_bytes())
        );
        assert!(!delivery.retain);
        delivery.ack.done();
    }
    device.publish("cmd/a/status", "published after the restart");
    let told = observer.wait_for(|m| m.topic == topic("cmd/a/status"));
    assert_eq!(told.payload, b"published after the restart");
    device.stop();
}

#[test]
fn a_command_that_was_not_acknowledged_comes_again() {
    let broker = Mosquitto::start(&Setup::default());
    let mut observer = observer(&broker);
    let disk = Disk::new();

    let mut device = Device::start(settings(broker.port), &disk);
    online(&mut observer, true);
    for id in ["a", "b"] {
        observer.publish(&Message::new(&topic(&format!("cmd/{id}")), "x"));
    }
    let (a, b) = (device.delivery(), device.delivery());
    b.ack.done();
    // The acknowledgement of `b` is with the broker when this is: one connection keeps its order.
    device.publish("cmd/b/status", "done");
    observer.wait_for(|m| m.topic == topic("cmd/b/status"));
    device.kill();
    drop(a);

    let mut device = Device::start(settings(broker.port), &disk);
    let again = device.delivery();
    assert_eq!(again.topic, topic("cmd/a"));
    again.ack.done();
    observer.publish(&Message::new(&topic("cmd/c"), "x"));
    assert_eq!(device.delivery().topic, topic("cmd/c"), "`b` must not come again");
}

#[test]
fn an_acknowledgement_from_before_a_reconnection_is_not_sent() {
    // The broker forgets its sessions, and numbers its messages from 1 again.
    let mut broker = Mosquitto::start(&Setup::default());
    let mut before = observer(&broker);
    let disk = Disk::new();
    let mut device = Device::start(settings(broker.port), &disk);
    online(&mut before, true);
    before.publish(&Message::new(&topic("cmd/old"), "x"));
    let old = device.delivery();

    broker.kill();
    broker.restart();
    let mut observer = observer(&broker);
    online(&mut observer, true);
    observer.publish(&Message::new(&topic("cmd/new"), "x"));
    let new = device.delivery();
    assert_eq!(new.topic, topic("cmd/new"));
    old.ack.done();
    device.publish("cmd/old/status", "done");
    observer.wait_for(|m| m.topic == topic("cmd/old/status"));
    assert_eq!(device.wait_for(|s| s.connections > 1).connections, 2, "the connection stays");
    device.kill();

    let mut device = Device::start(settings(broker.port), &disk);
    assert_eq!(device.delivery().topic, topic("cmd/new"), "its acknowledgement never went");
}

#[test]
fn a_broker_that_lost_the_session_is_subscribed_to_again() {
    let mut broker = Mosquitto::start(&Setup::default());
    let disk = Disk::new();
    let mut device = Device::start(settings(broker.port), &disk);
    device.wait_for(|s| s.connected);
    for round in 0..3 {
        broker.kill();
        broker.restart();
        let mut observer = observer(&broker);
        online(&mut observer, true);
        observer.publish(&Message::new(&topic("cmd/x"), format!("{round}")));
        let delivery = device.delivery();
        assert_eq!(&*delivery.payload, format!("{round}").as_bytes());
        delivery.ack.done();
        device.publish("cmd/x/status", "done");
        observer.wait_for(|m| m.topic == topic("cmd/x/status"));
    }
    let state = device.wait_for(|s| s.connected);
    assert_eq!(state.fault, None, "a broker that restarts is no fault");
}

#[test]
fn the_desk_may_be_slow_and_the_line_goes_on() {
    let broker = Mosquitto::start(&Setup::default());
    let mut observer = observer(&broker);
    let disk = Disk::new();
    let mut device = Device::with(settings(broker.port), &disk, tuning(), 1);
    online(&mut observer, true);
    for n in 0..60 {
        observer.publish(&Message::new(&topic(&format!("cmd/{n}")), "x"));
    }
    // Nobody takes a delivery, and all the same:
    device.publish("health", "well");
    observer.wait_for(|m| m.topic == topic("health"));
    for n in 0..60 {
        let delivery = device.delivery();
        assert_eq!(delivery.topic, topic(&format!("cmd/{n}")));
        delivery.ack.done();
    }
    assert_eq!(device.wait_for(|s| s.connected).connections, 1);
}

#[test]
fn what_mqtt_5_carries_besides_the_payload_is_handed_on() {
    let broker = Mosquitto::start(&Setup::default());
    let mut observer = observer(&broker);
    let disk = Disk::new();
    let mut device = Device::start(settings(broker.port), &disk);
    online(&mut observer, true);
    observer.publish(&Message {
        response_topic: Some(topic("answers")),
        correlation: Some(vec![0, 159, 146, 150]),
        ..Message::new(&topic("cmd/a"), "x")
    });
    let delivery = device.delivery();
    assert_eq!(delivery.response_topic, Some(topic("answers")));
    assert_eq!(delivery.correlation, Some(vec![0, 159, 146, 150]));
    delivery.ack.done();
}

#[test]
fn mqtt_5_properties_that_no_answer_could_carry_are_not_handed_on() {
    let broker = Mosquitto::start(&Setup::default());
    let mut observer = observer(&broker);
    let mut device = Device::start(settings(broker.port), &Disk::new());
    online(&mut observer, true);
    for (length, correlation) in [(321, 4), (9, 1025)] {
        observer.publish(&Message {
            response_topic: Some("a".repeat(length)),
            correlation: Some(vec![7; correlation]),
            ..Message::new(&topic("cmd/a"), "x")
        });
        let delivery = device.delivery();
        assert_eq!((delivery.response_topic, delivery.correlation), (None, None));
        delivery.ack.done();
    }
}

#[test]
fn a_retained_command_is_known_as_such() {
    let broker = Mosquitto::start(&Setup::default());
    let mut observer = observer(&broker);
    let disk = Disk::new();
    // Retained before anyone subscribed: mosquitto does as it is asked, and does not send it.
    observer.publish(&Message::new(&topic("cmd/before"), "x").retained());
    let mut device = Device::start(settings(broker.port), &disk);
    online(&mut observer, true);
    observer.publish(&Message::new(&topic("cmd/while"), "x").retained());
    let delivery = device.delivery();
    assert_eq!((delivery.topic.as_str(), delivery.retain), (&*topic("cmd/while"), true));
    delivery.ack.done();
}

#[test]
fn a_payload_that_is_too_large_does_not_wedge_the_session() {
    let broker = Mosquitto::start(&Setup::default());
    let mut observer = observer(&broker);
    let disk = Disk::new();
    let mut device = Device::start(settings(broker.port), &disk);
    online(&mut observer, true);
    let large = |n: usize| Message::new(&topic("cmd/large"), vec![b'x'; n]);
    observer.publish(&large(70_000));
    observer.publish(&large(60_000));
    let delivery = device.delivery();
    assert_eq!(delivery.payload.len(), 60_000, "the broker drops what is above the limit");
    delivery.ack.done();
    device.stop();

    // The same while the device is away: what the broker keeps for it does not come in its way later.
    online(&mut observer, false);
    observer.publish(&large(70_000));
    observer.publish(&Message::new(&topic("cmd/small"), "x"));
    let mut device = Device::start(settings(broker.port), &disk);
    assert_eq!(device.delivery().topic, topic("cmd/small"));
    assert_eq!(device.wait_for(|s| s.connected).connections, 1);
}

// ---- what the broker keeps as state

#[test]
fn the_last_will_tells_of_a_device_that_vanished() {
    let broker = Mosquitto::start(&Setup::default());
    let mut observer = observer(&broker);
    let disk = Disk::new();
    let boot = serde_json::to_value(disk.keeper.boot_id()).unwrap();

    let device = Device::start(settings(broker.port), &disk);
    let told = online(&mut observer, true);
    assert_eq!((&told["boot"], &told["version"]), (&boot, &"0.0.0-test".into()));
    assert!(told["since"].as_str().is_some_and(|s| s.ends_with('Z')), "{told}");
    let caps = observer.wait_for(|m| m.topic == topic("caps"));
    assert_eq!(caps.json()["ops"][0], "snapshot");
    device.kill();

    let will = online(&mut observer, false);
    assert_eq!(will, serde_json::json!({ "online": false, "boot": boot }));
    let mut later = broker.admin("later");
    later.subscribe(&topic("online"));
    let kept = later.next();
    assert!(kept.retain && kept.json() == will, "{kept:?}");
}

#[test]
fn a_device_that_stops_takes_leave() {
    let broker = Mosquitto::start(&Setup::default());
    let mut observer = observer(&broker);
    let disk = Disk::new();
    let device = Device::start(settings(broker.port), &disk);
    online(&mut observer, true);
    let state = device.state.clone();
    device.stop();
    online(&mut observer, false);
    assert!(!state.borrow().connected);
    assert!(broker.log().contains(&format!("Received DISCONNECT from {ID}")), "{}", broker.log());
}

// ---- faults

#[test]
fn a_wrong_password_is_told_and_a_right_one_is_used_without_a_restart() {
    let logs = logs::all();
    let user = Some((ID.to_owned(), "right-HUSH".to_owned()));
    let broker = Mosquitto::start(&Setup { user, ..Setup::default() });
    let disk = Disk::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "wrong-HUSH\n").unwrap();
    let mut with_password = settings(broker.port);
    with_password.username = Some(ID.into());
    with_password.password_file = Some(file.path().to_owned());

    let mut device = Device::start(with_password, &disk);
    let state = device.wait_for(|s| s.failures > 2);
    let fault = state.fault.unwrap();
    assert!(fault.contains("does not let us in"), "{fault}");
    assert!(fault.contains(&*file.path().to_string_lossy()), "{fault}");
    std::fs::write(file.path(), "right-HUSH\nand a second line\n").unwrap();
    let state = device.wait_for(|s| s.connected && s.fault.is_none());
    assert!(state.last_error.is_some());
    std::fs::remove_file(file.path()).unwrap();
    drop(broker);
    let fault = device.wait_for(|s| s.fault.is_some()).fault.unwrap();
    assert!(fault.contains("cannot read the password"), "{fault}");
    device.stop();
    let logged = String::from_utf8(logs.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("does not let us in"), "logs are heard: {logged}");
    assert!(!logged.contains("HUSH"), "{logged}");
}

#[test]
fn another_client_under_our_name_is_told() {
    let broker = Mosquitto::start(&Setup::default());
    let disk = Disk::new();
    let wary =
        vedette::mqtt::Tuning { duel_window: std::time::Duration::from_secs(60), ..tuning() };
    let mut device = Device::with(settings(broker.port), &disk, wary, 16);
    let mut others = Vec::new();
    for round in 1..=3 {
        device.wait_for(|s| s.connections == round && s.connected);
        others.push(broker.admin(ID));
    }
    let fault = device.wait_for(|s| s.fault.is_some()).fault.unwrap();
    assert!(fault.contains(&format!("another client connects as {ID}")), "{fault}");
    // It now waits for minutes, and can be stopped all the same.
    device.stop();
}

#[test]
fn each_device_hears_only_its_own_commands_where_certificates_are_names() {
    let dir = tempfile::tempdir().unwrap();
    mosquitto::authority(dir.path(), &[ID, "cam-8"]);
    let acl = "pattern read vedette/v1/%u/cmd/#\npattern write vedette/v1/%u/#\n";
    let broker = Mosquitto::start(&Setup {
        tls: Some(dir.path().to_owned()),
        certificates: true,
        acl: Some(acl.into()),
        ..Setup::default()
    });
    let mut observer = observer(&broker);
    let secure = |certificate: &str| {
        let file = |name: String| dir.path().join(name);
        let mut settings = settings(broker.port);
        settings.broker = format!("mqtts://127.0.0.1:{}", broker.port).parse().unwrap();
        settings.ca_file = Some(file("ca.pem".into()));
        settings.client_certificate =
            Some((file(format!("{certificate}.pem")), file(format!("{certificate}.key"))));
        settings
    };

    let disk = Disk::new();
    let mut ours = Device::start(secure(ID), &disk);
    online(&mut observer, true);
    observer.publish(&Message::new(&topic("cmd/a"), "x"));
    let delivery = ours.delivery();
    assert_eq!(delivery.topic, topic("cmd/a"));
    delivery.ack.done();
    assert_eq!(ours.wait_for(|s| s.connected).fault, None);
    ours.stop();

    // A stolen certificate under our name: mosquitto grants the subscription, and delivers nothing.
    let mut thief = Device::start(secure("cam-8"), &Disk::new());
    let fault = thief.wait_for(|s| s.refused >= 2).fault.unwrap();
    assert!(fault.contains(&topic("")) && fault.contains("not authorized"), "{fault}");
    observer.publish(&Message::new(&topic("cmd/b"), "x"));
    for refused in 3..=4 {
        // Behind the command on the same connection, had it come.
        thief.publish("health", "well");
        thief.wait_for(|s| s.refused >= refused);
    }
    assert!(thief.deliveries.try_recv().is_err(), "a foreign command was delivered");
    thief.stop();
}

#[test]
fn certificates_that_are_not_believed_are_told() {
    let (dir, foreign) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    mosquitto::authority(dir.path(), &[ID]);
    mosquitto::authority(foreign.path(), &[ID]);
    let broker = Mosquitto::start(&Setup {
        tls: Some(dir.path().to_owned()),
        certificates: true,
        ..Setup::default()
    });
    let disk = Disk::new();
    let fault = |ca: &std::path::Path, own: Option<&std::path::Path>| {
        let mut settings = settings(broker.port);
        settings.broker = format!("mqtts://127.0.0.1:{}", broker.port).parse().unwrap();
        settings.ca_file = Some(ca.join("ca.pem"));
        let pem = |d: &std::path::Path| (d.join(format!("{ID}.pem")), d.join(format!("{ID}.key")));
        settings.client_certificate = own.map(pem);
        let mut device = Device::start(settings, &disk);
        let fault = device.wait_for(|s| s.fault.is_some()).fault.unwrap();
        device.stop();
        fault
    };
    let theirs = fault(foreign.path(), None);
    assert!(theirs.contains("is not believed") && theirs.contains("ca.pem"), "{theirs}");
    let none = fault(dir.path(), None);
    assert!(none.contains("`certificate_file`"), "{none}");
    let ours = fault(dir.path(), Some(foreign.path()));
    assert!(ours.contains(&format!("{ID}.pem")), "{ours}");
    let missing = fault(dir.path(), Some(std::path::Path::new("/nowhere")));
    assert!(missing.contains("/nowhere/cam-7.pem"), "{missing}");
}

#[test]
fn a_topic_that_the_broker_refuses_is_told_until_it_takes_it() {
    let acl = format!(
        "topic write {0}\ntopic write {1}\ntopic read {2}\n",
        topic("online"),
        topic("caps"),
        topic("cmd/#")
    );
    let broker = Mosquitto::start(&Setup { acl: Some(acl), ..Setup::default() });
    let mut observer = observer(&broker);
    let disk = Disk::new();
    let mut device = Device::start(settings(broker.port), &disk);
    online(&mut observer, true);
    device.publish("health", "well");
    let fault = device.wait_for(|s| s.refused > 0 && s.fault.is_some()).fault.unwrap();
    assert!(fault.contains(&topic("health")) && fault.contains("access list"), "{fault}");
    assert_eq!(device.wait_for(|s| s.connected).connections, 1);
}

// ---- the outbox

fn message(below: &str, payload: String) -> OutboxMessage {
    let payload = payload.into_bytes();
    OutboxMessage { kind: Kind::Alarm, topic: below.into(), payload, correlation: Some(vec![7]) }
}

/// Posts so many alarms, numbered.
fn post(disk: &Disk, numbers: std::ops::Range<u32>) {
    let messages = numbers.map(|n| message("alarm", n.to_string())).collect();
    soon(disk.spool.post(messages)).unwrap();
}

fn number(message: &Message) -> u32 {
    assert_eq!(message.correlation, Some(vec![7]));
    String::from_utf8(message.payload.clone()).unwrap().parse().unwrap()
}

fn outbox_is_empty(disk: &Disk, arrived: u64) {
    let outbox = soon(disk.spool.snapshot()).unwrap().outbox;
    let alarms = outbox.kinds[1];
    assert!(outbox.holds(), "{outbox:?}");
    assert_eq!((alarms.arrived, alarms.queued, alarms.dropped), (arrived, 0, 0));
}

/// What was acknowledged is told apart from what was not by whether the observer has it: mosquitto
/// passes a message on before it acknowledges it.
fn everything_arrives_although_the_broker_is_killed(persistent: bool) {
    let user = Some((ID.to_owned(), "right".to_owned()));
    let mut broker = Mosquitto::start(&Setup { user, persistent, ..Setup::default() });
    let disk = Disk::new();
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "right").unwrap();
    let mut with_password = settings(broker.port);
    with_password.username = Some(ID.into());
    with_password.password_file = Some(password.path().to_owned());
    post(&disk, 0..100);

    let mut before = broker.admin("before");
    before.subscribe_at(&topic("alarm"), 0);
    let mut device = Device::start(with_password, &disk);
    let mut seen: Vec<_> = (0..100).map(|_| number(&before.next())).collect();
    assert!(seen.is_sorted(), "in the order of their numbers: {seen:?}");
    post(&disk, 100..400);
    seen.extend((0..50).map(|_| number(&before.next())));
    // Until somebody observes it again, the device is not let in.
    std::fs::write(password.path(), "wrong").unwrap();
    broker.kill();
    seen.extend(before.rest().iter().map(number));
    post(&disk, 400..450);
    broker.restart();
    let mut after = broker.admin("after");
    after.subscribe_at(&topic("alarm"), 0);
    std::fs::write(password.path(), "right").unwrap();

    while (0..450).any(|n| !seen.contains(&n)) {
        seen.push(number(&after.next()));
    }
    device.wait_for(|s| s.arrived >= 450);
    outbox_is_empty(&disk, 450);
    assert!(seen.len() <= 450 + 16, "again goes only what was in flight: {}", seen.len() - 450);
    device.stop();
}

#[test]
fn what_must_arrive_does_although_a_forgetful_broker_is_killed() {
    everything_arrives_although_the_broker_is_killed(false);
}

#[test]
fn what_must_arrive_does_although_a_persistent_broker_is_killed() {
    everything_arrives_although_the_broker_is_killed(true);
}

#[test]
fn what_a_killed_device_had_in_flight_is_published_by_the_next_run() {
    let silent = scripted::Broker::start(scripted::Manner::Silent);
    let disk = Disk::new();
    post(&disk, 0..40);
    let device = Device::start(settings(silent.port), &disk);
    silent.heard(18);
    device.kill();
    assert!(silent.ended().len() <= 18);

    let broker = Mosquitto::start(&Setup::default());
    let mut observer = observer(&broker);
    let mut device = Device::start(settings(broker.port), &disk);
    for n in 0..40 {
        assert_eq!(number(&observer.wait_for(|m| m.topic == topic("alarm"))), n);
    }
    device.wait_for(|s| s.arrived == 40);
    outbox_is_empty(&disk, 40);
}

#[test]
fn what_the_broker_refuses_waits_and_holds_up_nothing() {
    let acl = |alarms: &str| {
        let write = ["online", "caps", "cmd/+/status", alarms].map(topic);
        let lines: Vec<_> = write.iter().map(|t| format!("topic write {t}\n")).collect();
        format!("{}topic read {}\n", lines.concat(), topic("cmd/#"))
    };
    let broker = Mosquitto::start(&Setup { acl: Some(acl("nothing")), ..Setup::default() });
    let mut observer = observer(&broker);
    let disk = Disk::new();
    // Enough of them to fill a window twice, in front of those that may go.
    post(&disk, 0..40);
    let allowed = (40..60).map(|n| message("cmd/x/status", n.to_string())).collect();
    soon(disk.spool.post(allowed)).unwrap();
    let mut device = Device::start(settings(broker.port), &disk);
    for n in 40..60 {
        assert_eq!(number(&observer.wait_for(|m| m.topic == topic("cmd/x/status"))), n);
    }
    let state = device.wait_for(|s| s.arrived == 20 && s.fault.is_some());
    let fault = state.fault.unwrap();
    assert!(fault.contains(&topic("alarm")) && fault.contains("not authorized"), "{fault}");
    assert!(state.refused >= 40, "{}", state.refused);

    broker.set_acl(&acl("alarm"));
    let mut seen: Vec<_> =
        (0..40).map(|_| number(&observer.wait_for(|m| m.topic == topic("alarm")))).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
    let state = device.wait_for(|s| s.arrived == 60 && s.fault.is_none());
    assert_eq!(state.connections, 1);
    outbox_is_empty(&disk, 60);
}

#[test]
fn what_the_broker_will_never_take_is_given_up_and_the_rest_stays() {
    let acl = format!(
        "topic write {}\ntopic write {}\ntopic write {}\ntopic read {}\n",
        topic("online"),
        topic("caps"),
        topic("alarm"),
        topic("cmd/#")
    );
    let broker = Mosquitto::start(&Setup { acl: Some(acl), ..Setup::default() });
    let mut observer = observer(&broker);
    let disk = Disk::new();
    let outcome =
        |to: &str| OutboxMessage { kind: Kind::Outcome, ..message(to, "the end".to_owned()) };
    let invalid = message("alarm/#", "to no topic".to_owned());
    let posted = vec![outcome("cmd/a/status"), outcome("answers/a"), invalid];
    soon(disk.spool.post(posted)).unwrap();
    let mut device = Device::start(settings(broker.port), &disk);
    // Each of both outcomes five times, the invalid one once; then the first goes on alone.
    device.wait_for(|s| s.refused >= 20);
    post(&disk, 0..1);
    assert_eq!(number(&observer.wait_for(|m| m.topic == topic("alarm"))), 0);
    device.wait_for(|s| s.arrived == 1);
    let outbox = soon(disk.spool.snapshot()).unwrap().outbox;
    assert!(outbox.holds(), "{outbox:?}");
    let [outcomes, alarms, _] = outbox.kinds;
    assert_eq!((outcomes.queued, outcomes.dropped), (1, 1), "the copy on the status topic stays");
    assert_eq!((alarms.arrived, alarms.queued, alarms.dropped), (1, 0, 1));
}

// ---- stored events

#[test]
fn stored_events_are_told_and_what_the_ring_had_to_drop_is_counted() {
    let mut broker = Mosquitto::start(&Setup::default());
    let disk = Disk::new();
    let mut device = Device::start(settings(broker.port), &disk);
    let mut observer = observer(&broker);
    online(&mut observer, true);
    device.notices.send(device::notice(1)).unwrap();
    let told = observer.wait_for(|m| m.topic == topic("event/door/stored")).json();
    assert_eq!((&told["seq"], &told["key"]), (&1.into(), &"v1/cam-7/door/1.jpg".into()));
    device.wait_for(|s| s.stored_told == 1);

    broker.kill();
    device.wait_for(|s| !s.connected);
    for seq in 2..=11 {
        device.notices.send(device::notice(seq)).unwrap();
    }
    broker.restart();
    let state = device.wait_for(|s| s.stored_told + s.stored_lost == 11);
    assert_eq!((state.stored_told, state.stored_lost), (5, 6), "a ring of four");
}

// ---- a broker that mosquitto would not be

#[test]
fn a_broker_that_never_acknowledges_is_not_flooded_and_holds_nothing_up() {
    let broker = scripted::Broker::start(scripted::Manner::Silent);
    let disk = Disk::new();
    post(&disk, 0..100);
    let mut device = Device::start(settings(broker.port), &disk);
    device.wait_for(|s| s.connected);
    for n in 0..64 {
        device.publish("health", &n.to_string());
    }
    broker.heard(32);
    // The line still hears, and still acknowledges.
    let delivery = device.delivery();
    assert_eq!(delivery.topic, topic("cmd/scripted"));
    delivery.ack.done();
    broker.acknowledged();
    device.stop();
    let said = broker.ended();
    assert!(said.len() <= 33, "sixteen of each kind and the farewell: {}", said.len());
    let alarms = said.iter().filter(|m| m.topic == topic("alarm")).count();
    assert_eq!(alarms, 16);
}

#[test]
fn a_broker_that_stops_reading_is_left_for_a_new_connection() {
    let broker = scripted::Broker::start(scripted::Manner::Deaf);
    let short = std::time::Duration::from_secs(1);
    let quick = vedette::mqtt::Settings { keep_alive: short, ..settings(broker.port) };
    let impatient = vedette::mqtt::Tuning { connect_within: short, ..tuning() };
    let mut device = Device::with(quick, &Disk::new(), impatient, 16);
    device.wait_for(|s| s.connected);
    // More than the sockets hold.
    let large = "x".repeat(1 << 20);
    for _ in 0..16 {
        device.publish("health", &large);
    }
    let state = device.wait_for(|s| s.last_error.is_some());
    assert_eq!(state.last_error.as_deref(), Some("no answer"));
    device.wait_for(|s| s.connections == 2);
}

#[test]
fn a_broker_that_never_grants_the_subscription_holds_nothing_else_up() {
    let broker = scripted::Broker::start(scripted::Manner::NeverGrants);
    let within = std::time::Duration::from_millis(200);
    let impatient = vedette::mqtt::Tuning { connect_within: within, ..tuning() };
    let mut device = Device::with(settings(broker.port), &Disk::new(), impatient, 16);
    device.publish("health", "well");
    broker.heard(3);
    let fault = device.wait_for(|s| s.fault.is_some()).fault.unwrap();
    assert!(fault.contains("the subscription to `vedette/v1/cam-7/cmd/+`"), "{fault}");
    assert!(device.state.borrow().connected);
    device.stop();
    let said: Vec<_> = broker.ended().into_iter().map(|m| m.topic).collect();
    assert_eq!(said[..3], ["online", "caps", "health"].map(topic));
}

#[test]
fn a_message_larger_than_the_broker_takes_is_given_up_at_once() {
    let broker = scripted::Broker::start(scripted::Manner::Small);
    let disk = Disk::new();
    soon(disk.spool.post(vec![message("alarm", "x".repeat(1000))])).unwrap();
    post(&disk, 0..1);
    let mut device = Device::start(settings(broker.port), &disk);
    device.wait_for(|s| s.arrived == 1 && s.refused > 0);
    device.stop();
    let outbox = soon(disk.spool.snapshot()).unwrap().outbox;
    assert!(outbox.holds(), "{outbox:?}");
    let alarms = outbox.kinds[1];
    assert_eq!((alarms.arrived, alarms.queued, alarms.dropped), (1, 0, 1));
}

#[test]
fn a_broker_that_says_taken_over_is_believed_at_once() {
    let broker = scripted::Broker::start(scripted::Manner::TakesOver);
    let disk = Disk::new();
    let mut device = Device::start(settings(broker.port), &disk);
    let state = device.wait_for(|s| s.fault.is_some());
    let fault = state.fault.unwrap();
    assert!(fault.contains(&format!("another client connects as {ID}")), "{fault}");
    assert_eq!(state.connections, 1);
}

#[test]
fn state_is_published_as_it_changes() {
    let broker = Mosquitto::start(&Setup::default());
    let disk = Disk::new();
    let mut device = Device::start(settings(broker.port), &disk);
    let state = soon(device.state.wait_for(|s| s.connected)).unwrap().clone();
    assert_eq!((state.connections, state.failures, state.last_error), (1, 0, None));
}
