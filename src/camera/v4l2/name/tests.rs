use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::memory::Identity;
use super::*;

/// A tree as sysfs and udev make it.
struct Tree {
    dir: TempDir,
    probes: Vec<(PathBuf, Option<Probe>)>,
}

struct Plugged<'a> {
    node: u32,
    index: u32,
    label: &'a str,
    /// Place below /sys/devices, the interface last.
    place: &'a str,
    usb: Option<(&'a str, Option<&'a str>)>,
    captures: bool,
}

const CAM: Plugged<'_> = Plugged {
    node: 0,
    index: 0,
    label: "HD Webcam C270",
    place: "pci0/usb1/1-1/1-1:1.0",
    usb: Some(("046d:0825", Some("A1"))),
    captures: true,
};

impl Tree {
    fn new(nodes: &[Plugged<'_>]) -> Self {
        let mut tree = Self { dir: TempDir::new().unwrap(), probes: Vec::new() };
        fs::create_dir_all(tree.roots().dev).unwrap();
        nodes.iter().for_each(|node| tree.plug(node));
        tree
    }

    fn roots(&self) -> Roots {
        Roots { sys: self.dir.path().join("sys"), dev: self.dir.path().join("dev") }
    }

    fn plug(&mut self, p: &Plugged<'_>) {
        let Roots { sys, dev } = self.roots();
        let name = format!("video{}", p.node);
        let interface = sys.join("devices").join(p.place);
        let entry = interface.join("video4linux").join(&name);
        fs::create_dir_all(&entry).unwrap();
        fs::write(entry.join("name"), format!("{}\n", p.label)).unwrap();
        fs::write(entry.join("index"), format!("{}\n", p.index)).unwrap();
        symlink("../..", entry.join("device")).unwrap();
        if let Some((id, serial)) = p.usb {
            let device = interface.parent().unwrap();
            let (vendor, product) = id.split_once(':').unwrap();
            fs::write(device.join("idVendor"), format!("{vendor}\n")).unwrap();
            fs::write(device.join("idProduct"), format!("{product}\n")).unwrap();
            if let Some(serial) = serial {
                fs::write(device.join("serial"), format!("{serial}\n")).unwrap();
            }
        }
        let class = sys.join("class/video4linux");
        fs::create_dir_all(&class).unwrap();
        symlink(&entry, class.join(&name)).unwrap();
        fs::write(dev.join(&name), "").unwrap();
        let port = Path::new(p.place).components().nth(2).map(|c| c.as_os_str().to_string_lossy());
        let bus_info = format!("usb-0000:00:14.0-{}", port.unwrap_or_default());
        let probe = Probe {
            driver: "uvcvideo".into(),
            card: p.label.into(),
            bus_info,
            captures: p.captures,
            streams: p.captures,
        };
        self.probes.push((dev.join(&name), Some(probe)));
    }

    fn unplug(&mut self, node: u32) {
        let Roots { sys, dev } = self.roots();
        let name = format!("video{node}");
        fs::remove_file(sys.join("class/video4linux").join(&name)).unwrap();
        fs::remove_file(dev.join(&name)).unwrap();
        self.probes.retain(|(path, _)| !path.ends_with(&name));
    }

    /// The node can no longer be opened.
    fn forbid(&mut self, node: u32) {
        self.probes[node as usize].1 = None;
    }

    fn link(&self, kind: &str, name: &str, node: u32) {
        let dir = self.roots().dev.join("v4l").join(kind);
        fs::create_dir_all(&dir).unwrap();
        symlink(format!("../../video{node}"), dir.join(name)).unwrap();
    }

    fn nodes(&self) -> Vec<VideoNode> {
        nodes(&self.roots())
    }

    fn choose(&self, marks: &Marks) -> Result<String, String> {
        let ask = |path: &Path| {
            let found = self.probes.iter().find(|(p, _)| p == path);
            found.and_then(|(_, probe)| probe.clone())
        };
        let nodes = self.nodes();
        let shorten = |text: String| text.replace(&*self.roots().dev.to_string_lossy(), "/dev");
        match marks.choose(&nodes, &ask) {
            Ok(node) => Ok(shorten(node.path.display().to_string())),
            Err(error) => Err(shorten(error.to_string())),
        }
    }

    fn first(&self) -> Result<String, OpenError> {
        let ask = |path: &Path| {
            let found = self.probes.iter().find(|(p, _)| p == path);
            found.and_then(|(_, probe)| probe.clone())
        };
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        first(&self.nodes(), &ask).map(name)
    }

    fn best(&self, node: u32) -> Option<String> {
        let all = self.nodes();
        let path = self.roots().dev.join(format!("video{node}"));
        let which = all.iter().find(|n| n.path == path).unwrap();
        let probe = self.probes.iter().find(|(p, _)| *p == path).unwrap().1.clone().unwrap();
        let line = best(which, &all, &probe.card, &probe.bus_info);
        line.map(|l| l.replace(&*self.roots().dev.to_string_lossy(), "/dev"))
    }
}

fn marks(key: &str, value: &str) -> Marks {
    let text = Some(value.to_owned());
    match key {
        "serial" => Marks { serial: text, ..Marks::default() },
        "card" => Marks { card: text, ..Marks::default() },
        "port" => Marks { port: text, ..Marks::default() },
        _ => Marks { usb: Some((0x046d, 0x0825)), ..Marks::default() },
    }
}

const META: Plugged<'_> = Plugged { node: 1, index: 1, captures: false, ..CAM };
const OTHER: Plugged<'_> = Plugged {
    node: 2,
    label: "USB 2.0 Camera",
    place: "pci0/usb1/1-2/1-2:1.0",
    usb: Some(("1bcf:2c99", Some("SN0001"))),
    ..CAM
};

#[test]
fn each_mark_finds_its_camera_and_the_capture_node_of_it() {
    let tree = Tree::new(&[CAM, META, OTHER]);
    tree.link("by-path", "pci-0000:00:14.0-usb-0:1:1.0-video-index0", 0);
    tree.link("by-path", "pci-0000:00:14.0-usb-0:1:1.0-video-index1", 1);
    for (key, value) in [
        ("serial", "A1"),
        ("serial", "a1"),
        ("usb", ""),
        ("card", "HD Webcam C270"),
        ("port", "1-1"),
        ("port", "usb-0000:00:14.0-1-1"),
        ("port", "pci-0000:00:14.0-usb-0:1:1.0"),
        ("port", "pci-0000:00:14.0-usb-0:1:1.0-video-index0"),
    ] {
        assert_eq!(tree.choose(&marks(key, value)).as_deref(), Ok("/dev/video0"), "{key} {value}");
    }
    let both = Marks { card: Some("USB 2.0 Camera".into()), ..marks("serial", "SN0001") };
    assert_eq!(tree.choose(&both).as_deref(), Ok("/dev/video2"));
}

#[test]
fn all_marks_that_are_given_must_fit() {
    let tree = Tree::new(&[CAM, META, OTHER]);
    let both = Marks { serial: Some("SN0001".into()), ..marks("usb", "") };
    let error = tree.choose(&both).unwrap_err();
    assert_eq!(
        error,
        "no camera has serial SN0001 usb 046d:0825; there are: /dev/video0 \"HD Webcam C270\" (usb \
         046d:0825, serial A1, port 1-1); /dev/video2 \"USB 2.0 Camera\" (usb 1bcf:2c99, serial \
         SN0001, port 1-2)"
    );
    let none = Tree::new(&[]).choose(&marks("serial", "A1")).unwrap_err();
    assert!(none.contains("there is no camera at all: is it plugged in"), "{none}");
}

#[test]
fn twins_are_listed_with_what_tells_them_apart() {
    let twin = |serial| Plugged {
        node: 3,
        place: "pci0/usb1/1-4/1-4:1.0",
        usb: Some(("046d:0825", serial)),
        ..CAM
    };
    let tree = Tree::new(&[CAM, META, twin(Some("B2"))]);
    assert_eq!(
        tree.choose(&marks("usb", "")).unwrap_err(),
        "2 cameras have usb 046d:0825: /dev/video0 \"HD Webcam C270\" (usb 046d:0825, serial A1, port \
         1-1); /dev/video3 \"HD Webcam C270\" (usb 046d:0825, serial B2, port 1-4); add `serial`, which \
         tells them apart"
    );
    assert_eq!(tree.choose(&marks("serial", "B2")).as_deref(), Ok("/dev/video3"));
    let tree = Tree::new(&[CAM, twin(None)]);
    let error = tree.choose(&marks("card", "HD Webcam C270")).unwrap_err();
    assert!(error.ends_with("as long as they stay plugged in where they are"), "{error}");
    let one = Marks { port: Some("1-4".into()), ..marks("usb", "") };
    assert_eq!(tree.choose(&one).as_deref(), Ok("/dev/video3"));
}

#[test]
fn a_camera_that_comes_back_under_another_number_is_found() {
    let mut tree = Tree::new(&[CAM, META, OTHER]);
    assert_eq!(tree.choose(&marks("serial", "A1")).as_deref(), Ok("/dev/video0"));
    tree.unplug(0);
    tree.unplug(1);
    assert!(tree.choose(&marks("serial", "A1")).is_err());
    tree.plug(&Plugged { node: 7, place: "pci0/usb2/2-1/2-1:1.0", ..CAM });
    assert_eq!(tree.choose(&marks("serial", "A1")).as_deref(), Ok("/dev/video7"));
}

#[test]
fn of_two_capture_nodes_of_one_device_the_first_is_meant() {
    let second = Plugged { node: 5, index: 2, ..CAM };
    let tree = Tree::new(&[second, CAM, META]);
    assert_eq!(tree.choose(&marks("usb", "")).as_deref(), Ok("/dev/video0"));
}

#[test]
fn two_first_nodes_of_one_device_are_two_cameras() {
    // vivid's instances share a platform device, and udev's one link goes to the last of them.
    let one = |node, label| Plugged { node, label, usb: None, ..CAM };
    let mut tree = Tree::new(&[one(0, "vivid-000-vid-cap"), one(1, "vivid-001-vid-cap")]);
    for (n, (_, probe)) in tree.probes.iter_mut().enumerate() {
        let probe = probe.as_mut().unwrap();
        (probe.card, probe.bus_info) = ("vivid".into(), format!("platform:vivid-00{n}"));
    }
    tree.link("by-path", "platform-vivid.0-video-index0", 1);
    let error = tree.choose(&marks("card", "vivid")).unwrap_err();
    assert!(error.starts_with("2 cameras have card vivid: "), "{error}");
    assert_eq!(tree.choose(&marks("port", "platform:vivid-001")).as_deref(), Ok("/dev/video1"));
    assert_eq!(tree.best(0).as_deref(), Some("port = \"platform:vivid-000\""));
    assert_eq!(tree.best(1).as_deref(), Some("port = \"platform:vivid-001\""));
}

#[test]
fn a_node_that_gives_no_pictures_is_not_meant_even_if_it_is_the_first() {
    let first = Plugged { node: 4, index: 0, captures: false, ..CAM };
    let tree = Tree::new(&[first, Plugged { node: 5, index: 1, ..CAM }]);
    assert_eq!(tree.choose(&marks("serial", "A1")).as_deref(), Ok("/dev/video5"));
}

#[test]
fn a_camera_that_may_not_be_opened_is_still_found_by_what_the_system_says() {
    let mut tree = Tree::new(&[CAM, META]);
    tree.forbid(0);
    tree.forbid(1);
    for (key, value) in [("serial", "A1"), ("card", "HD Webcam C270"), ("port", "1-1")] {
        assert_eq!(tree.choose(&marks(key, value)).as_deref(), Ok("/dev/video0"), "{key}");
    }
}

#[test]
fn other_cameras_are_not_opened_to_find_one_by_its_serial_number() {
    let tree = Tree::new(&[CAM, OTHER]);
    let nodes = tree.nodes();
    let ask = |path: &Path| panic!("{} was opened", path.display());
    assert!(marks("serial", "A1").choose(&nodes, &ask).is_ok());
    assert!(marks("serial", "Z9").choose(&nodes, &ask).is_err(), "nor to list them");
}

#[test]
fn a_card_that_the_system_calls_otherwise_is_found_by_asking() {
    let mut tree = Tree::new(&[Plugged { label: "vivid-000-vid-cap", usb: None, ..CAM }]);
    tree.plug(&Plugged { label: "vivid-000-vid-out", usb: None, ..META });
    for (_, probe) in &mut tree.probes {
        probe.as_mut().unwrap().card = "vivid".into();
    }
    assert_eq!(tree.choose(&marks("card", "vivid")).as_deref(), Ok("/dev/video0"));
}

#[test]
fn names_out_of_a_camera_are_shown_without_their_control_characters() {
    let tree = Tree::new(&[Plugged { label: "a\x1b[2Jb", usb: None, ..CAM }]);
    assert_eq!(tree.nodes()[0].label, "a?[2Jb");
}

#[test]
fn the_best_name_is_udevs_link_and_without_one_the_first_mark_of_its_own() {
    let tree = Tree::new(&[CAM, META, OTHER]);
    assert_eq!(tree.best(0).as_deref(), Some("serial = \"A1\""), "no udev here");
    tree.link("by-path", "pci-0000:00:14.0-usb-0:1:1.0-video-index0", 0);
    tree.link("by-path", "pci-0000:00:14.0-usbv2-0:1:1.0-video-index0", 0);
    let by_path = "device = \"/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0\"";
    assert_eq!(
        tree.best(0).as_deref(),
        Some(by_path),
        "the one of the two that older versions make"
    );
    tree.link("by-id", "usb-046d_HD_Webcam_C270_A1-video-index0", 0);
    let by_id = "device = \"/dev/v4l/by-id/usb-046d_HD_Webcam_C270_A1-video-index0\"";
    assert_eq!(tree.best(0).as_deref(), Some(by_id));
    let twins = Tree::new(&[CAM, Plugged { place: "pci0/usb1/1-4/1-4:1.0", node: 3, ..CAM }]);
    twins.link("by-id", "usb-046d_HD_Webcam_C270_A1-video-index0", 3);
    assert_eq!(
        twins.best(3).as_deref(),
        Some("port = \"usb-0000:00:14.0-1-4\""),
        "one link for two"
    );
    let nameless = Plugged { usb: Some(("046d:0825", None)), ..CAM };
    assert_eq!(Tree::new(&[nameless]).best(0).as_deref(), Some("usb = \"046d:0825\""));
    let loopback = Plugged { usb: None, label: "say \"hi\"", ..CAM };
    assert_eq!(Tree::new(&[loopback]).best(0).as_deref(), Some("card = \"say \\\"hi\\\"\""));
}

#[test]
fn what_somebody_types_is_any_mark_of_one_camera() {
    let tree = Tree::new(&[CAM, META, OTHER]);
    let nodes = tree.nodes();
    let typed = |text: &str| {
        typed_among(text, &nodes, &|_| None).map(|m| m.to_string()).map_err(|e| e.to_string())
    };
    assert_eq!(typed("A1").as_deref(), Ok("serial A1"));
    assert_eq!(typed("046d:0825").as_deref(), Ok("usb 046d:0825"));
    assert_eq!(typed("USB 2.0 Camera").as_deref(), Ok("card USB 2.0 Camera"));
    assert_eq!(typed("1-2").as_deref(), Ok("port 1-2"));
    let none = typed("zebra").unwrap_err();
    assert!(none.starts_with(
        "no camera has the serial number, USB id, name or port \"zebra\"; there are: "
    ));
    assert_eq!(super::typed("video3").unwrap(), Named::Path("/dev/video3".into()));
    assert_eq!(super::typed("./x").unwrap(), Named::Path("./x".into()));
}

#[test]
fn only_a_number_is_a_bare_name() {
    let bare = |path: &str| Named::Path(path.into()).is_bare();
    assert!(bare("/dev/video0") && bare("/dev/video12"));
    for good in
        ["/dev/v4l/by-id/usb-x-video-index0", "/dev/front-door", "/dev/video-front", "/dev/video"]
    {
        assert!(!bare(good), "{good}");
    }
    assert!(!Named::Marks(marks("serial", "A1")).is_bare());
}

#[test]
fn another_camera_under_the_same_number_is_not_taken_within_one_run() {
    let (path, none) = (Path::new("/dev/video0"), || None);
    let named = Named::Path(path.into());
    let front = Identity {
        card: "HD Webcam".into(),
        bus_info: "usb-1".into(),
        usb: Some("046d:0825".into()),
        serial: Some("A1".into()),
    };
    let memory = Memory::default();
    let clone = memory.clone();
    assert!(memory.same(&named, path, front.clone(), none).is_ok());
    assert!(clone.same(&named, path, front.clone(), none).is_ok(), "the same again");
    let others = [
        Identity { card: "Doorbell".into(), ..front.clone() },
        Identity { serial: Some("B2".into()), ..front.clone() },
        Identity { bus_info: "usb-2".into(), ..front.clone() },
        Identity { usb: None, ..front.clone() },
    ];
    for other in others {
        let error = clone.same(&named, path, other.clone(), none).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, OpenError::Unsupported(_)), "{text}");
        assert!(text.starts_with(
            "/dev/video0 is another camera now: it was \"HD Webcam\" at usb-1, serial A1"
        ));
        assert!(text.contains("`vedette devices`"), "{text}");
    }
    assert!(
        memory.same(&named, path, front.clone(), none).is_ok(),
        "the first one is welcome again"
    );
    assert_eq!(memory, Memory::default(), "no difference between configurations");

    let (memory, second) = (Memory::default(), Path::new("/dev/video4"));
    let unasked = || panic!("its number does not name it, and is not warned of");
    assert!(memory.same(&Named::First, path, front.clone(), unasked).is_ok());
    assert!(memory.same(&Named::First, second, front.clone(), none).is_ok(), "another number");
    let other = Identity { card: "Doorbell".into(), ..front };
    let error = memory.same(&Named::First, path, other, none).unwrap_err().to_string();
    assert!(error.starts_with("the first camera (/dev/video0) is another camera now: it was"));
    assert!(error.ends_with("a restart takes the present one"), "{error}");
}

#[test]
fn without_a_name_the_first_that_gives_pictures_is_meant() {
    let codec = Plugged { captures: false, usb: None, place: "platform/codec", ..CAM };
    let mut tree = Tree::new(&[codec, Plugged { node: 1, ..CAM }, OTHER]);
    assert_eq!(tree.first().unwrap(), "video1");
    tree.forbid(1);
    assert_eq!(tree.first().unwrap(), "video1", "the error of opening it is to be told");
    tree.unplug(1);
    assert_eq!(tree.first().unwrap(), "video2");
    tree.unplug(2);
    let error = tree.first().unwrap_err();
    assert!(matches!(&error, OpenError::NotFound(t) if t.contains("plugged in")), "{error}");
}

#[test]
fn the_first_is_one_that_streams_and_one_of_usb_before_a_boards_own() {
    let isp = Plugged { node: 0, usb: None, place: "platform/isp", ..CAM };
    let mut tree = Tree::new(&[isp, Plugged { node: 1, ..CAM }, OTHER]);
    assert_eq!(tree.first().unwrap(), "video1");
    tree.probes[1].1.as_mut().unwrap().streams = false;
    assert_eq!(tree.first().unwrap(), "video2");
    tree.unplug(1);
    tree.unplug(2);
    assert_eq!(tree.first().unwrap(), "video0");
}
