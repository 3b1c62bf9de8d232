/* sim/campaign.c */
#include "sim/campaign.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

enum { SEED_CPU_S = 60 };  // of one seed; the usual one takes a thousandth of it

/* A process that runs every job_count-th seed and writes the result of each to a pipe. */
struct job {
    pid_t pid;
    int fd;         // -1: ended
    uint64_t next;  // index of the seed under way
};

static bool is_over(const struct campaign *campaign)
{
    return campaign->is_over != NULL && campaign->is_over(campaign->context);
}

static void run_seeds(const struct campaign *campaign, uint64_t next, int fd)
{
    const struct itimerval limit = {.it_value = {.tv_sec = SEED_CPU_S}};
    for (; next < campaign->seed_count && !is_over(campaign); next += campaign->job_count) {
        struct scenario_config config = campaign->config;
        struct scenario_result result;
        config.seed += next;
        setitimer(ITIMER_VIRTUAL, &limit, NULL);
        scenario_run(&config, &result);
        fflush(stdout);
        if (write(fd, &result, sizeof result) != (ssize_t)sizeof result) {
            _exit(1);
        }
    }
    _exit(0);
}

static enum status job_start(const struct campaign *campaign, struct job *job)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return STATUS_IO;
    }
    fflush(NULL);
    job->pid = fork();
    if (job->pid == 0) {
        close(ends[0]);
        run_seeds(campaign, job->next, ends[1]);
    }
    close(ends[1]);
    job->fd = ends[0];
    if (job->pid < 0) {
        close(job->fd);
        job->fd = -1;
        return STATUS_IO;
    }
    return STATUS_OK;
}

static void tell(const struct campaign *campaign, struct job *job,
                 const struct scenario_result *result)
{
    struct scenario_config config = campaign->config;
    config.seed += job->next;
    campaign->on_result(campaign->context, &config, result);
    job->next += campaign->job_count;
}

/* It ended: because it is through, or in the middle of a seed. */
static enum status job_end(const struct campaign *campaign, struct job *job)
{
    int ended = 0;
    close(job->fd);
    job->fd = -1;
    while (waitpid(job->pid, &ended, 0) < 0 && errno == EINTR) {}
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) {
        return STATUS_OK;
    }
    struct scenario_result result = {.has_failed = true};
    int number = WIFSIGNALED(ended) ? WTERMSIG(ended) : 0;
    snprintf(result.reason, sizeof result.reason, "%s",
             number == SIGVTALRM ? "the simulation does not end"
             : number == SIGABRT ? "one of the program's own checks failed"
                                 : "the simulation crashed");
    tell(campaign, job, &result);
    return job_start(campaign, job);
}

static enum status job_read(const struct campaign *campaign, struct job *job)
{
    struct scenario_result result;
    ssize_t length = read(job->fd, &result, sizeof result);
    if (length < 0 && errno == EINTR) {
        return STATUS_OK;
    }
    if (length != (ssize_t)sizeof result) {
        return job_end(campaign, job);
    }
    tell(campaign, job, &result);
    return STATUS_OK;
}

enum status campaign_run(const struct campaign *campaign)
{
    struct job jobs[CAMPAIGN_JOBS_MAX];
    struct pollfd polled[CAMPAIGN_JOBS_MAX];
    uint64_t job_count =
        campaign->job_count < campaign->seed_count ? campaign->job_count : campaign->seed_count;
    enum status status = STATUS_OK;
    CHECK(0 < campaign->job_count && campaign->job_count <= CAMPAIGN_JOBS_MAX);
    uint64_t running = 0;
    for (; running < job_count && status == STATUS_OK; running++) {
        jobs[running] = (struct job){.fd = -1, .next = running};
        status = job_start(campaign, &jobs[running]);
    }
    job_count = running;
    while (running > 0) {
        for (uint64_t i = 0; i < job_count; i++) {
            polled[i] = (struct pollfd){.fd = jobs[i].fd, .events = POLLIN};
        }
        (void)poll(polled, job_count, -1);
        running = 0;
        for (uint64_t i = 0; i < job_count; i++) {
            if (jobs[i].fd >= 0 && (polled[i].revents & (POLLIN | POLLHUP)) != 0) {
                enum status one = job_read(campaign, &jobs[i]);
                status = status == STATUS_OK ? one : status;
            }
            running += jobs[i].fd >= 0;
        }
    }
    return status;
}
