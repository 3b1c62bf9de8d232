/* src/cli/post.h */
#ifndef CLI_POST_H
#define CLI_POST_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "cli/app.h"
#include "wire/frame.h"

/*
 * post: frames to and from the host's socket (host/control.h). The host is not believed: a frame
 * is hostile until the handshake says otherwise.
 */
struct post {
    int fd;  // -1: not open
    struct buffer received;
    struct buffer taken;  // the frame last handed out
};

#define POST_CLOSED ((struct post){.fd = -1})

/* STATUS_NOT_FOUND: no host listens there. STATUS_IO: errno says why. Says nothing. */
MUST_CHECK enum status post_open(struct post *post, const struct app *app);
void post_close(struct post *post);

/* Send one frame, waiting for room. STATUS_CLOSED: the host is gone. */
MUST_CHECK enum status post_send(struct post *post, struct bytes frame);

/*
 * The next frame; borrows until the next call. Waits at most `timeout_ms`. STATUS_TIMEOUT;
 * STATUS_CLOSED: the host is gone; STATUS_MALFORMED: it speaks nonsense.
 */
MUST_CHECK enum status post_receive(struct post *post, struct frame *frame, int timeout_ms);

#endif
