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
	int device = open(words[1], O_RDWR);
	if (device < 0)
		fail(words[1]);
	/* Asking what the device can do is what makes it take a feeder after an earlier one has gone. */
	struct v4l2_capability can;
	if (ioctl(device, VIDIOC_QUERYCAP, &can) < 0 || ioctl(device, VIDIOC_S_FMT, &format) < 0)
		fail("VIDIOC_S_FMT");
	/* The frames come by write(); this tells the device whose end is the end of its being a camera. */
	int output = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	if (ioctl(device, VIDIOC_STREAMON, &output) < 0)
		fail("VIDIOC_STREAMON");
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
