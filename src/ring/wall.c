/* src/ring/wall.c */
#define _GNU_SOURCE  // memfd_create
#include "ring/wall.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

/* The data port comes first. Both footprints are multiples of RING_LINE_BYTES. */
static size_t wall_bytes(struct wall_geometry geometry)
{
    return port_footprint(geometry.data_bytes) + port_footprint(geometry.stream_bytes);
}

static void *stream_memory(const struct wall *wall, struct wall_geometry geometry)
{
    return (uint8_t *)wall->memory + port_footprint(geometry.data_bytes);
}

static enum status wall_map(struct wall *wall, int fd, size_t memory_bytes)
{
    void *memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        return STATUS_IO;
    }
    wall->memory = memory;
    wall->memory_bytes = memory_bytes;
    return STATUS_OK;
}

static void fd_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

enum status wall_create(struct wall *wall, struct wall_geometry geometry)
{
    enum status status = STATUS_IO;
    *wall = WALL_NONE;
    wall->fd = memfd_create("paranoid wall", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    wall->data_bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    wall->stream_bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wall->fd < 0 || wall->data_bell_fd < 0 || wall->stream_bell_fd < 0) {
        goto done;
    }
    size_t memory_bytes = wall_bytes(geometry);
    if (ftruncate(wall->fd, (off_t)memory_bytes) != 0 || fcntl(wall->fd, F_ADD_SEALS, SEALS) != 0) {
        goto done;
    }
    status = wall_map(wall, wall->fd, memory_bytes);
    if (status != STATUS_OK) {
        goto done;
    }
    port_format(wall->memory, geometry.data_bytes);
    port_format(stream_memory(wall, geometry), geometry.stream_bytes);
    port_init_host(&wall->data, wall->memory, geometry.data_bytes, wall->data_bell_fd);
    port_init_host(&wall->stream, stream_memory(wall, geometry), geometry.stream_bytes,
                   wall->stream_bell_fd);

done:
    if (status != STATUS_OK) {
        int cause = errno;
        wall_release(wall);
        errno = cause;
    }
    return status;
}

enum status wall_attach(struct wall *wall, struct wall_geometry geometry, uint32_t spin_count)
{
    *wall = WALL_NONE;
    size_t memory_bytes = wall_bytes(geometry);
    struct stat found;
    if (fstat(WALL_FD, &found) != 0) {
        return STATUS_IO;
    }
    int seals = fcntl(WALL_FD, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || found.st_size != (off_t)memory_bytes) {
        return STATUS_FORGED;
    }
    enum status status = wall_map(wall, WALL_FD, memory_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    close(WALL_FD);
    wall->data_bell_fd = WALL_DATA_BELL_FD;
    wall->stream_bell_fd = WALL_STREAM_BELL_FD;
    port_init_enclave(&wall->data, wall->memory, geometry.data_bytes, wall->data_bell_fd,
                      spin_count);
    port_init_enclave(&wall->stream, stream_memory(wall, geometry), geometry.stream_bytes,
                      wall->stream_bell_fd, spin_count);
    return STATUS_OK;
}

void wall_release(struct wall *wall)
{
    if (wall->memory != NULL) {
        munmap(wall->memory, wall->memory_bytes);
    }
    fd_close(&wall->fd);
    fd_close(&wall->data_bell_fd);
    fd_close(&wall->stream_bell_fd);
    *wall = WALL_NONE;
}
