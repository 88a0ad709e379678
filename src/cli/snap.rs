//! `vedette snap`: one picture, through the running agent when there is one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::ConfigArgs;
use crate::camera::v4l2::name::{self, Named};
use crate::camera::{self, Camera, CameraError, Pace, Source, V4l2Settings};
use crate::capture::{ClockSettings, Settings};
use crate::clock::{SystemClock, Timekeeper, TrustPolicy};
use crate::config::{self, Config};
use crate::contract::key::DEFAULT_TEMPLATE;
use crate::contract::{Class, Trigger};
use crate::control::request::Request;
use crate::control::socket::{self, CallError};
use crate::still::{self, Candidate, Profile};

/// Frames thrown away first where nothing is configured: automatic exposure needs a few.
const WARM_UP: u32 = 5;

/// How long is waited for a frame at once.
const SLICE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    config: ConfigArgs,
    /// Name of the camera; may be left out when there is only one.
    #[arg(long)]
    camera: Option<String>,
    /// Instead, without any configuration: a camera by its node, serial number, USB id, name or port, as
    /// `vedette devices` shows them. No masks are applied.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["camera", "config"])]
    device: Option<String>,
    /// File to write.
    #[arg(short, long, value_name = "FILE", default_value = "snap.jpg")]
    output: PathBuf,
}

pub(super) fn run(options: &Options) -> ExitCode {
    match snap(options) {
        Ok(text) => match super::print(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::failed(&error.into()),
        },
        Err(error) => super::failed(&error),
    }
}

fn snap(options: &Options) -> anyhow::Result<String> {
    if let Some(text) = &options.device {
        let jpeg = directly(&plain(name::typed(text)?), TrustPolicy::Auto)?;
        return write(options, &jpeg, text, "without a configuration");
    }
    let loaded = config::load(&options.config.config, &options.config.context())
        .map_err(|errors| anyhow::anyhow!("{}", errors.render(false)))?;
    let config = loaded.config;
    let settings = choose(&config, options.camera.as_deref())?;
    let name = &settings.profile.camera;
    let (jpeg, how) = match through_agent(&config, name)? {
        Some(jpeg) => (jpeg, "through the running agent"),
        None => (directly(settings, config.trust)?, "from the camera itself, no agent runs"),
    };
    write(options, &jpeg, name, how)
}

fn write(options: &Options, jpeg: &[u8], camera: &str, how: &str) -> anyhow::Result<String> {
    let output = options.output.display();
    std::fs::write(&options.output, jpeg).with_context(|| format!("writing {output}"))?;
    Ok(format!("{output}: {} bytes of camera {camera}, {how}\n", jpeg.len()))
}

/// A camera of which nothing is configured.
fn plain(device: Named) -> Settings {
    Settings {
        source: Source::V4l2(V4l2Settings { warm_up: WARM_UP, ..V4l2Settings::named(device) }),
        frame_timeout: Duration::from_secs(10),
        analyse_fps: None,
        motion: None,
        interval: None,
        clock: ClockSettings::default(),
        drop_similar: None,
        profile: Arc::new(Profile {
            camera: "snap".into(),
            quality: 85,
            masks: Vec::new(),
            device: "snap".into(),
            key_template: DEFAULT_TEMPLATE.into(),
            place: Arc::default(),
            meta: [].into(),
            look: crate::still::Look::default(),
        }),
    }
}

fn choose<'a>(config: &'a Config, name: Option<&str>) -> anyhow::Result<&'a Settings> {
    let names: Vec<_> = config.cameras.iter().map(|c| c.profile.camera.as_str()).collect();
    match (name, config.cameras.as_slice()) {
        (None, [one]) => Ok(one),
        (None, _) => bail!("which camera? --camera with one of: {}", names.join(", ")),
        (Some(name), all) => all.iter().find(|c| c.profile.camera == name).with_context(|| {
            format!("no camera is named \"{name}\"; there is: {}", names.join(", "))
        }),
    }
}

/// `None` when no agent runs.
fn through_agent(config: &Config, camera: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let path = &config.control_socket;
    match socket::call(path, &Request::Snap { camera: camera.to_owned() }) {
        Ok(jpeg) => Ok(Some(jpeg)),
        Err(CallError::NotRunning { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            bail!("{} is not ours to use: run as root or as the agent's user", path.display())
        }
        Err(CallError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn directly(settings: &Settings, trust: TrustPolicy) -> anyhow::Result<Vec<u8>> {
    let mut source = settings.source.clone();
    if let Source::Files(files) = &mut source {
        files.pace = Pace::Fast;
    }
    let mut camera = camera::open(&source, Arc::new(SystemClock::new()))?;
    let picture = first_frame(camera.as_mut(), settings)?;
    // The time may be burnt into it.
    let keeper = Timekeeper::new(Arc::new(SystemClock::new()), trust);
    keeper.poll();
    Ok(still::show(&picture, keeper.wall_at(picture.captured))?)
}

/// The first frame after those that the camera throws away while it gets ready.
fn first_frame(camera: &mut dyn Camera, settings: &Settings) -> anyhow::Result<Candidate> {
    // Each camera bounds this itself: a warm-up by its time, a program by `start_timeout`.
    while !camera.ready(SLICE)? {}
    let began = Instant::now();
    loop {
        if began.elapsed() > settings.frame_timeout.max(Duration::from_secs(10)) {
            bail!("no usable frame within {:?}", began.elapsed());
        }
        match camera.next_frame(SLICE) {
            Ok(frame) => {
                return Ok(Candidate {
                    data: frame.data.to_vec(),
                    geometry: frame.geometry,
                    captured: frame.captured,
                    stamp: frame.stamp,
                    profile: settings.profile.clone(),
                    seen: None,
                    trigger: Trigger::Command,
                    event: None,
                    command: None,
                    order: still::Order::default(),
                    said: None,
                    class: Class::Best,
                    marks: Vec::new(),
                });
            }
            Err(CameraError::Timeout(_) | CameraError::Skip(_)) => {}
            Err(error @ (CameraError::Lost(_) | CameraError::Ended)) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;
    use crate::frame::{Frame, Geometry, PixelFormat, Stamp};

    /// A camera that gets ready in three slices, and then gives one frame.
    struct Slow {
        asked: u32,
    }

    const GREY: Geometry = Geometry { format: PixelFormat::Grey, width: 1, height: 1, stride: 1 };

    impl Camera for Slow {
        fn geometry(&self) -> Geometry {
            GREY
        }

        fn ready(&mut self, _: Duration) -> Result<bool, camera::OpenError> {
            self.asked += 1;
            Ok(self.asked == 3)
        }

        fn next_frame(&mut self, _: Duration) -> Result<Frame<'_>, CameraError> {
            let data: &[u8] = if self.asked == 3 { b"!" } else { b"?" };
            let (captured, stamp) = (BootTime(1), Stamp::Driver);
            Ok(Frame { geometry: GREY, data, sequence: 0, captured, stamp })
        }
    }

    #[test]
    fn the_picture_is_the_first_frame_of_a_camera_that_is_ready() {
        let settings = plain(Named::First);
        assert_eq!(first_frame(&mut Slow { asked: 0 }, &settings).unwrap().data, b"!");
        let Source::V4l2(v4l2) = settings.source else { panic!() };
        assert_eq!(v4l2.warm_up, WARM_UP, "the camera throws its first frames away itself");
    }
}
