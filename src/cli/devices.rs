//! `vedette devices`: the cameras that are plugged in, how to name each, and a configuration to begin with.
//!
//! Short first: whoever stands on a ladder reads it off a telephone. `--all` lists every format, size,
//! rate and control, `--json` is complete. Words are made purely of what `survey` found.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::camera::v4l2::controls::{Control, Kind};
use crate::camera::v4l2::offer::{FormatOffer, Rates, SizeOffer, Sizes};
use crate::camera::v4l2::survey::{Camera, Speed, survey};
use crate::frame::PixelFormat;

/// Controls and formats that the short list names.
const MAX_NAMED: usize = 6;

const NONE: &str = "No camera is here: nothing that gives pictures has a node /dev/video*.\n\
                    Is one plugged in? `lsusb` shows a USB camera even without its driver; `dmesg` says what \
                    became of it.\nA network camera, or a Raspberry Pi's own, is an `exec` camera: it shows \
                    nothing here.\n";

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// List every format, size, rate and control.
    #[arg(long)]
    all: bool,
    /// Print one JSON object with everything.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Found<'a> {
    cameras: &'a [Camera],
}

pub(super) fn run(options: &Options) -> ExitCode {
    let cameras = survey();
    let text = if options.json {
        serde_json::to_string(&Found { cameras: &cameras }).map(|json| json + "\n")
    } else {
        Ok(render(&cameras, options.all))
    };
    match text.map_err(anyhow::Error::from).and_then(|text| Ok(super::print(&text)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::failed(&error),
    }
}

fn render(cameras: &[Camera], all: bool) -> String {
    if cameras.is_empty() {
        return NONE.to_owned();
    }
    let mut out = String::new();
    for camera in cameras {
        out += &one(camera, all);
        out += "\n";
    }
    out += &snippet(cameras);
    if !all {
        out += "`vedette devices --all` lists every size, rate and control.\n";
    }
    out
}

/// A camera, a line a fact.
fn one(camera: &Camera, all: bool) -> String {
    let mut out = format!("{}\n", camera.card);
    let mut line = |name: &str, text: &str| {
        writeln!(out, "{name:>10}  {text}").ok(); // writing to a String cannot fail
    };
    let driver = camera.driver.as_ref().map_or(String::new(), |d| format!(", driver {d}"));
    line("node", &format!("{}{driver}", camera.node.display()));
    if let Some(trouble) = &camera.trouble {
        line("TROUBLE", trouble);
    }
    if !camera.users.is_empty() {
        line("in use by", &camera.users.join(", "));
    }
    match &camera.write {
        Some(write) => line("name it", write),
        None => line("name it", "by its node only: nothing else tells it from others"),
    }
    if all {
        let links = camera.links.iter().map(|link| format!("device = \"{}\"", link.display()));
        let others = links.chain(marks(camera)).filter(|line| Some(line) != camera.write.as_ref());
        others.for_each(|other| line("or", &other));
    }
    if let Some(suggestion) = &camera.suggestion {
        line("best", &suggestion.to_string());
        line("because", &suggestion.why);
    }
    if let Some(Speed { access, mb_per_s }) = camera.reading
        && (all || access == "copied")
    {
        let speed = mb_per_s.map_or(String::new(), |n| format!("at {n} MB/s, "));
        let what = if access == "copied" { "slow: each frame is copied first" } else { "in place" };
        line("memory", &format!("{speed}{what}"));
    }
    if all {
        let mut above: Option<&Sizes> = None;
        for format in &camera.formats {
            out += &sizes(format, above.replace(&format.sizes) == Some(&format.sizes));
        }
        camera.controls.iter().for_each(|control| out += &ranges(control));
    } else if camera.driver.is_some() {
        line("formats", &formats(&camera.formats));
        line("controls", &names(&camera.controls));
    }
    out
}

/// The marks that a configuration may write.
fn marks(camera: &Camera) -> Vec<String> {
    let usb = camera.usb.as_ref();
    let port = camera.port.as_ref().or(camera.bus_info.as_ref());
    let marks = [
        ("serial", usb.and_then(|u| u.serial.as_ref())),
        ("usb", usb.map(|u| &u.id)),
        ("card", Some(&camera.card)),
        ("port", port),
    ];
    let lines = marks.into_iter().filter_map(|(key, value)| Some((key, value?)));
    lines.map(|(key, value)| format!("{key} = {}", toml::Value::from(value.as_str()))).collect()
}

fn name(format: &FormatOffer) -> String {
    match format.format {
        Some(known) => known.name().to_owned(),
        None => format!("{} (not read here)", format.fourcc),
    }
}

/// The formats that can be read, best first, with their largest sizes.
fn formats(offered: &[FormatOffer]) -> String {
    let find = |wanted| offered.iter().find(|o| o.format == Some(wanted));
    let known: Vec<_> = PixelFormat::PREFERENCE.into_iter().filter_map(find).collect();
    let mut words: Vec<_> = known.iter().take(MAX_NAMED).map(|f| brief(f)).collect();
    if known.len() > MAX_NAMED {
        words.push(format!("{} more", known.len() - MAX_NAMED));
    }
    match offered.len() - known.len() {
        0 => {}
        n => words.push(format!("{n} that {} not read here", if n == 1 { "is" } else { "are" })),
    }
    words.join(", ")
}

/// A format in a word or two.
fn brief(format: &FormatOffer) -> String {
    let largest = match &format.sizes {
        Sizes::Listed(listed) => {
            let size = listed.iter().max_by_key(|s| u64::from(s.width) * u64::from(s.height));
            size.map(|s| (s.width, s.height))
        }
        Sizes::Between { max, .. } => Some(*max),
        Sizes::Unknown => None,
    };
    name(format) + &largest.map_or(String::new(), |(w, h)| format!(" to {w}x{h}"))
}

/// A format with its sizes and rates, unless they are those of the format above it.
fn sizes(format: &FormatOffer, as_above: bool) -> String {
    let head = format!("{:>10}  {}: {}\n", "format", name(format), format.description);
    let lines = match &format.sizes {
        _ if as_above => vec!["the same sizes and rates".to_owned()],
        Sizes::Listed(listed) => listed.iter().map(size).collect(),
        Sizes::Between { min, max, step, rates: of } => vec![format!(
            "{}x{} to {}x{} in steps of {}x{}{}",
            min.0,
            min.1,
            max.0,
            max.1,
            step.0,
            step.1,
            rates(of)
        )],
        Sizes::Unknown => vec!["sizes not listed by the driver".to_owned()],
    };
    lines.iter().fold(head, |text, line| format!("{text}{:>12}{line}\n", ""))
}

fn size(size: &SizeOffer) -> String {
    format!("{}x{}{}", size.width, size.height, rates(&size.rates))
}

fn rates(rates: &Rates) -> String {
    match rates {
        Rates::Listed(listed) => {
            let listed: Vec<_> = listed.iter().map(ToString::to_string).collect();
            format!(" at {} fps", listed.join(", "))
        }
        Rates::Between(low, high) => format!(" at {low} to {high} fps"),
        Rates::Unknown => String::new(),
    }
}

/// The names of some controls.
fn names(controls: &[Control]) -> String {
    let settable = || controls.iter().filter(|c| !c.read_only && c.kind != Kind::Other);
    let named: Vec<_> = settable().take(MAX_NAMED).map(|c| c.name.as_str()).collect();
    match settable().count() {
        0 => "none".to_owned(),
        n if n > MAX_NAMED => format!("{}, and {} more", named.join(", "), n - MAX_NAMED),
        _ => named.join(", "),
    }
}

/// A control with its value and range.
fn ranges(control: &Control) -> String {
    let value = control.value.map_or(String::new(), |value| format!(" = {}", control.spell(value)));
    let default = match control.kind {
        Kind::Button | Kind::Other => String::new(),
        _ => format!("; default {}", control.spell(control.default)),
    };
    let flags =
        [(control.inactive, "; another control rules it now"), (control.read_only, "; read only")];
    let flags: String = flags.iter().filter(|(is, _)| *is).map(|(_, words)| *words).collect();
    let (name, range) = (&control.name, control.range());
    format!("{:>10}  {name}{value}\n{:>12}{range}{default}{flags}\n", "control", "")
}

/// A configuration for the first camera that can be used.
fn snippet(cameras: &[Camera]) -> String {
    let Some(camera) = cameras.iter().find(|c| c.trouble.is_none()) else { return String::new() };
    let by_node = || format!("device = \"{}\"", camera.node.display());
    let mut out = format!(
        "A configuration to begin with, for {} (`vedette check` reads it):\n\n    [camera.front.v4l2]\n    {}\n",
        camera.node.display(),
        camera.write.clone().unwrap_or_else(by_node)
    );
    if let Some((width, height)) = camera.suggestion.as_ref().and_then(|s| s.size) {
        writeln!(out, "    size = \"{width}x{height}\"").ok(); // writing to a String cannot fail
    }
    out += "\n    [destination.dir]          # or [destination.s3], see /etc/vedette/vedette.toml\n    \
            path = \"/srv/pictures\"\n\n";
    write!(out, "{}", try_it(&camera.node)).ok(); // nor this
    out
}

fn try_it(node: &Path) -> String {
    format!("`vedette snap --device {}` takes a picture to look at.\n", node.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::v4l2::name::nodes::Usb;
    use crate::camera::v4l2::offer::{Code, Rate};
    use crate::camera::v4l2::survey::Suggestion;

    fn camera() -> Camera {
        let rates = Rates::Listed(vec![Rate::per_second(30), Rate { frames: 15, seconds: 2 }]);
        let sizes = Sizes::Listed(vec![SizeOffer { width: 1280, height: 720, rates }]);
        let format = |format, fourcc, sizes| FormatOffer {
            format,
            fourcc,
            description: "Words of the driver".into(),
            sizes,
        };
        Camera {
            card: "HD Webcam".into(),
            node: "/dev/video0".into(),
            write: Some("device = \"/dev/v4l/by-id/usb-cam-video-index0\"".into()),
            driver: Some("uvcvideo".into()),
            bus_info: Some("usb-0000:00:14.0-1".into()),
            port: Some("1-1".into()),
            usb: Some(Usb { id: "046d:0825".into(), serial: Some("A1".into()) }),
            links: vec!["/dev/v4l/by-id/usb-cam-video-index0".into()],
            trouble: None,
            users: vec![],
            formats: vec![
                format(Some(PixelFormat::Mjpeg), Code::of(b"MJPG"), sizes),
                format(None, Code::of(b"H264"), Sizes::Unknown),
            ],
            suggestion: Some(Suggestion {
                format: "mjpeg",
                size: Some((1280, 720)),
                fps: Some(30.0),
                why: "reasons".into(),
            }),
            controls: vec![],
            reading: Some(Speed { access: "direct", mb_per_s: Some(5200) }),
        }
    }

    #[test]
    fn without_a_camera_it_says_where_to_look() {
        let text = render(&[], false);
        assert!(text.starts_with("No camera is here") && text.contains("lsusb"), "{text}");
    }

    #[test]
    fn the_short_list_fits_a_telephone_and_ends_in_a_configuration_that_is_valid() {
        let text = render(&[camera()], false);
        for line in [
            "HD Webcam",
            "      node  /dev/video0, driver uvcvideo",
            "   name it  device = \"/dev/v4l/by-id/usb-cam-video-index0\"",
            "      best  mjpeg 1280x720, up to 30 fps",
            "   because  reasons",
            "   formats  mjpeg to 1280x720, 1 that is not read here",
            "  controls  none",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.lines().count() < 24 && !text.contains("MB/s"), "{text}");
        let lines = text.lines().skip_while(|l| !l.starts_with("    [camera"));
        let snippet: Vec<_> = lines.take_while(|l| l.is_empty() || l.starts_with("    ")).collect();
        assert!(snippet.len() <= 10, "{snippet:?}");
        let file = std::path::Path::new("/etc/vedette/vedette.toml");
        let context = crate::config::Context::from_env(Some("/nonexistent".into()));
        let config = crate::config::parse(&snippet.join("\n"), file, &context);
        config.unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    }

    #[test]
    fn all_shows_every_size_rate_name_and_control() {
        let mut camera = camera();
        let same = FormatOffer { format: Some(PixelFormat::Yuyv), ..camera.formats[0].clone() };
        camera.formats.insert(1, same);
        let text = render(&[camera], true);
        assert_eq!(text.matches("1280x720 at 30, 7.5 fps").count(), 1, "told once: {text}");
        assert!(text.contains("            the same sizes and rates"), "{text}");
        assert!(!text.contains("or  device ="), "no name twice: {text}");
        for line in [
            "        or  serial = \"A1\"",
            "        or  usb = \"046d:0825\"",
            "        or  card = \"HD Webcam\"",
            "        or  port = \"1-1\"",
            "    memory  at 5200 MB/s, in place",
            "    format  mjpeg: Words of the driver",
            "    format  H264 (not read here): Words of the driver",
            "            1280x720 at 30, 7.5 fps",
            "            sizes not listed by the driver",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn trouble_comes_first_and_such_a_camera_is_not_suggested() {
        let denied = Camera { trouble: Some("no permission; join group video".into()), ..camera() };
        let text = render(std::slice::from_ref(&denied), false);
        assert!(text.contains("   TROUBLE  no permission; join group video"), "{text}");
        assert!(!text.contains("[camera.front"), "{text}");
        let busy = Camera { users: vec!["motion (process 7)".into()], ..camera() };
        let slow = Speed { access: "copied", mb_per_s: Some(90) };
        let text = render(&[denied, Camera { reading: Some(slow), ..busy }], false);
        assert!(text.contains(" in use by  motion (process 7)"), "{text}");
        assert!(
            text.contains("    memory  at 90 MB/s, slow: each frame is copied first"),
            "{text}"
        );
        assert!(text.contains("[camera.front"), "{text}");
    }
}
