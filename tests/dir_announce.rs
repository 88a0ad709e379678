//! The real agent with a directory as its store and a function that is told of each object: as edge
//! installations run it. A function that is busy is told again; objects, announcements and the account
//! agree.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[path = "support/device.rs"]
mod device;
#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "support/scripted_http.rs"]
mod scripted_http;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use device::{Device, all_stored, camera};
use scripted_http::{Seen, Server, Step};
use serde_json::Value;

const FRAMES: usize = 6;

#[test]
fn every_object_in_the_directory_is_announced_and_a_busy_function_is_told_again() {
    let mut told = 0;
    let function = Server::start(move |_| {
        told += 1;
        let busy = told == 1 || told == 4;
        let status = if busy { "503 Service Unavailable" } else { "202 Accepted" };
        Step::Answer(status.into(), String::new())
    });
    let mut device = Device::new();
    let root = device.path("pictures");
    fs::create_dir(&root).unwrap();
    device.configure(&format!(
        "[clock]\ntrust = \"always\"\n[destination]\nconcurrency = 1\n[destination.dir]\n\
         path = \"{}\"\nannounce = \"http://{}/pictures?from=cam1\"\n{}",
        root.display(),
        function.addr,
        camera("street", u32::try_from(FRAMES).unwrap()),
    ));
    device.start(None);
    let status = device.wait("everything stored", all_stored);
    device.stop();
    let ledger = &status.ledger;
    assert_eq!((ledger.kept, ledger.stored), (FRAMES as u64, FRAMES as u64));
    assert_eq!((ledger.quarantined, ledger.lost.len()), (0, 0));

    let objects = objects(&root);
    assert_eq!(objects.len(), FRAMES, "{:?}", objects.keys());
    let mut announced: BTreeMap<String, usize> = BTreeMap::new();
    for event in function.seen() {
        let key = holds_what_it_says(&event, &objects);
        *announced.entry(key).or_default() += 1;
    }
    assert!(announced.keys().eq(objects.keys()), "{announced:?}");
    let times: usize = announced.values().sum();
    assert_eq!(times, FRAMES + 2, "once each, and again for each 503: {announced:?}");
}

/// A CloudEvent in binary mode whose data tell of an object that is there; its key.
fn holds_what_it_says(event: &Seen, objects: &BTreeMap<String, PathBuf>) -> String {
    assert_eq!((event.method.as_str(), event.target.as_str()), ("POST", "/pictures?from=cam1"));
    for (name, value) in [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "com.amazonaws.s3.ObjectCreated:Put"),
        ("ce-source", "vedette:dir.local.pictures"),
    ] {
        assert_eq!(event.header(name), Some(value), "{name}");
    }
    let data: Value = serde_json::from_slice(&event.body).unwrap();
    let object = &data["s3"]["object"];
    let key = object["key"].as_str().unwrap();
    assert_eq!((event.header("ce-subject"), event.header("ce-id")), (Some(key), Some(key)));
    let time: jiff::Timestamp = event.header("ce-time").unwrap().parse().unwrap();
    let told: jiff::Timestamp = data["eventTime"].as_str().unwrap().parse().unwrap();
    assert_eq!(told, time);
    let path = &objects[key];
    assert_eq!(object["size"], fs::metadata(path).unwrap().len());

    let sidecar: Value =
        serde_json::from_slice(&fs::read(format!("{}.json", path.display())).unwrap()).unwrap();
    assert_eq!(sidecar["key"], key);
    let told = object["userMetadata"].as_object().unwrap();
    for (name, value) in sidecar["metadata"].as_object().unwrap() {
        let told = told.iter().find(|(n, _)| n.eq_ignore_ascii_case(&format!("x-amz-meta-{name}")));
        assert_eq!(told.map(|(_, v)| v), Some(value), "{name}");
    }
    key.to_owned()
}

/// All objects by key; besides them and their metadata there is nothing.
fn objects(root: &Path) -> BTreeMap<String, PathBuf> {
    let (mut dirs, mut objects, mut sidecars) = (vec![root.to_owned()], BTreeMap::new(), 0);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|e| e.to_str()) {
                _ if path.is_dir() => dirs.push(path),
                Some("jpg") => {
                    let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    objects.insert(key, path);
                }
                Some("json") => sidecars += 1,
                _ => panic!("{} was left behind", path.display()),
            }
        }
    }
    assert_eq!(sidecars, objects.len());
    objects
}
