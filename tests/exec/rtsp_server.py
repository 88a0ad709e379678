"""An RTSP server on loopback that gives one clip from its beginning to whoever asks.

Run by rtsp.py with Debian's own Python, which has GStreamer's bindings: rtsp_server.py PORT CLIP
"""

import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = "( filesrc location={} ! matroskademux ! h264parse ! rtph264pay name=pay0 config-interval=-1 )"


def main():
    port, clip = sys.argv[1:]
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE.format(clip))
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    server.get_mount_points().add_factory("/street", factory)
    if not server.attach(None):
        raise SystemExit(f"port {port} cannot be had")
    loop = GLib.MainLoop()

    def stop():
        # Ends each session as a camera does that is switched off in good order.
        server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
        loop.quit()

    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, stop)
    print("ready", flush=True)
    loop.run()


main()
