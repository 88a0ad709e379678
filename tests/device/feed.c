/* A camera for v4l2loopback:   feed DEVICE WIDTH HEIGHT FRAMES_A_SECOND FILE.jpg...
 * Shows the JPEG files one after the other, over and over, until it is killed. */
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static char picture[1 << 22];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

int main(int count, char **words)
{
	if (count < 6) {
		fprintf(stderr, "usage: feed DEVICE WIDTH HEIGHT FRAMES_A_SECOND FILE.jpg...\n");
		return 2;
	}
	struct v4l2_format format = {
		.type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
		.fmt.pix = {
			.width = atoi(words[2]),
			.height = atoi(words[3]),
			.pixelformat = V4L2_PIX_FMT_MJPEG,
			.sizeimage = atoi(words[2]) * atoi(words[3]) * 2,
			.field = V4L2_FIELD_NONE,
		},
	};
	int device = -1;
	/* It is refused while somebody else has the device open to see whether it is a camera. */
	for (int tries = 0; device < 0; tries++) {
		device = open(words[1], O_RDWR);
		if (device >= 0 && ioctl(device, VIDIOC_S_FMT, &format) == 0)
			break;
		perror(words[1]);
		if (tries == 600)
			return 1;
		if (device >= 0)
			close(device);
		device = -1;
		usleep(100000);
	}
	for (int i = 0;; i++) {
		const char *name = words[5 + i % (count - 5)];
		FILE *file = fopen(name, "rb");
		if (!file)
			fail(name);
		size_t length = fread(picture, 1, sizeof picture, file);
		fclose(file);
		if (write(device, picture, length) < 0)
			fail("write");
		usleep(1000000 / atoi(words[4]));
	}
}
