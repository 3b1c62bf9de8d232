/* src/cli/post.c */
#include "cli/post.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/encoder.h"
#include "cli/clock.h"
#include "host/host.h"

enum { POST_LENGTH_BYTES = 4, POST_STEP_BYTES = 64 * 1024 };

enum status post_open(struct post *post, const struct app *app)
{
    char path[FILE_PATH_BYTES];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *post = POST_CLOSED;
    app_path(app, APP_HOST "/" HOST_FILE_SOCKET, path);
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return STATUS_IO;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return STATUS_IO;
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        // Refused: the socket of a host that was killed.
        enum status status =
            errno == ENOENT || errno == ECONNREFUSED ? STATUS_NOT_FOUND : STATUS_IO;
        int saved = errno;
        close(fd);
        errno = saved;
        return status;
    }
    post->fd = fd;
    return STATUS_OK;
}

void post_close(struct post *post)
{
    if (post->fd >= 0) {
        close(post->fd);
    }
    buffer_release(&post->received);
    buffer_release(&post->taken);
    *post = POST_CLOSED;
}

static enum status send_all(struct post *post, struct bytes bytes)
{
    while (bytes.length > 0) {
        ssize_t put = send(post->fd, bytes.at, bytes.length, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return STATUS_CLOSED;
        }
        bytes = bytes_of(bytes.at + put, bytes.length - (size_t)put);
    }
    return STATUS_OK;
}

enum status post_send(struct post *post, struct bytes frame)
{
    uint8_t length[POST_LENGTH_BYTES];
    struct encoder out = encoder_over(length, sizeof length);
    encoder_u32(&out, (uint32_t)frame.length);
    enum status status = send_all(post, bytes_of(length, sizeof length));
    return status == STATUS_OK ? send_all(post, frame) : status;
}

/* Hand out the frame at the front of what was received. STATUS_EMPTY: it is not whole yet. */
static enum status take(struct post *post, struct frame *frame)
{
    struct cursor in = cursor_over(post->received.bytes, post->received.length);
    uint32_t length = cursor_u32(&in);
    if (in.failed) {
        return STATUS_EMPTY;
    }
    if (length > FRAME_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    const uint8_t *bytes = cursor_take(&in, length);
    if (bytes == NULL) {
        return STATUS_EMPTY;
    }
    buffer_clear(&post->taken);
    enum status status = buffer_append(&post->taken, bytes, length);
    if (status == STATUS_OK) {
        buffer_consume(&post->received, POST_LENGTH_BYTES + length);
        status = frame_decode(frame, buffer_bytes(&post->taken));
    }
    return status;
}

static enum status read_some(struct post *post, int timeout_ms)
{
    struct pollfd ready = {.fd = post->fd, .events = POLLIN};
    int count = poll(&ready, 1, timeout_ms);
    if (count == 0 || (count < 0 && errno == EINTR)) {
        return STATUS_TIMEOUT;
    }
    if (count < 0) {
        return STATUS_IO;
    }
    enum status status = buffer_reserve(&post->received, POST_STEP_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    ssize_t got = recv(post->fd, post->received.bytes + post->received.length, POST_STEP_BYTES, 0);
    if (got < 0 && errno == EINTR) {
        return STATUS_OK;
    }
    if (got <= 0) {
        return STATUS_CLOSED;
    }
    post->received.length += (size_t)got;
    return STATUS_OK;
}

enum status post_receive(struct post *post, struct frame *frame, int timeout_ms)
{
    int64_t due_ms = clock_now_ms() + timeout_ms;
    enum status status;
    while ((status = take(post, frame)) == STATUS_EMPTY) {
        int64_t left_ms = due_ms - clock_now_ms();
        status = read_some(post, left_ms > 0 ? (int)left_ms : 0);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return status;
}
