/* Runs in processes of their own: what crashes, diverges or takes too much memory costs one run. Parent and
 * child share a page of memory for the outcome; only the parent writes the results file. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agilenn/model.h"
#include "agn_build.h"
#include "sweep/folder.h"
#include "sweep/sweep_internal.h"

enum { MOST_JOBS = 256, LOOK_MS = 20 };

struct slot {
    pid_t pid; /* 0: free */
    double begun_s;
    struct agn__outcome *outcome; /* shared */
    struct agn_sweep_task task;
    char folder[1024];
};

struct sweep {
    const struct agn_sweep_config *config;
    struct agn_sweep_file *file;
    struct agn_sweep_report report;
    struct slot *slots;
    int jobs, threads;
    int next, begun; /* place to look at next; runs begun */
    double begun_s;
    bool asked; /* the children to end */
};

/* ---- a child --------------------------------------------------------------------------------- */

/* The OOM killer is to find the run that took the memory, not the sweep. */
static void offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "500", 3);
        close(fd);
    }
}

/* Messages go to a file beside the run's. Returns what stderr was; NULL: nothing is to be told there. */
static FILE *redirect(const struct sweep *s, const struct slot *slot)
{
    char path[1024 + 8];
    bool tells = s->jobs == 1 && s->config->progress != NULL;
    int before = tells ? dup(STDERR_FILENO) : -1;
    snprintf(path, sizeof path, "%s/log", slot->folder);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log >= 0)
        (void)dup2(log, STDERR_FILENO);
    return before >= 0 ? fdopen(before, "w") : NULL;
}

static void be_child(const struct sweep *s, const struct slot *slot, pid_t parent)
{
    FILE *terminal = redirect(s, slot);
    const struct agn__trial trial = {.plan = s->config->plan,
                                     .task = &slot->task,
                                     .folder = slot->folder,
                                     .progress = terminal != NULL ? s->config->progress : NULL,
                                     .progress_user = terminal};
    (void)setpgid(0, 0); /* Ctrl-C is the parent's, who asks the children once */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    offer_to_oom_killer();
    agn_nn_set_threads(s->threads);
    agn__trial_run(&trial, slot->outcome);
    fflush(NULL);
    _exit(0);
}

/* ---- rows --------------------------------------------------------------------------------------- */

static void name_row(const struct sweep *s, const struct agn_sweep_task *task, struct agn_sweep_row *row)
{
    const struct agn_sweep_config *c = s->config;
    snprintf(row->plan, sizeof row->plan, "%s", c->plan->name);
    memcpy(row->id, task->id, sizeof row->id);
    row->place = task->place;
    memcpy(row->dataset, task->dataset, sizeof row->dataset);
    memcpy(row->preset, task->preset_name, sizeof row->preset);
    memcpy(row->design, task->design, sizeof row->design);
    memcpy(row->settings, task->settings, sizeof row->settings);
    int length = snprintf(row->command, sizeof row->command, "agilenn sweep %s --only %s --out %s",
                          c->plan_path, task->id, c->out);
    if (length < 0 || (size_t)length >= sizeof row->command)
        row->command[0] = '\0';
}

static int begin_row(const struct sweep *s, const struct agn_sweep_task *task, struct agn_sweep_row *row)
{
    const struct agn_system *system;
    time_t now = time(NULL);
    struct tm utc;
    *row = (struct agn_sweep_row){.seed = task->preset.train.seed, .threads = s->threads};
    for (int i = 0; i < agn__column_count; i++)
        if (agn__columns[i].kind == AGN__REAL)
            *(double *)(void *)((char *)row + agn__columns[i].offset) = NAN;
    name_row(s, task, row);
    int status = agn_system_find(task->preset.model.system, &system);
    if (status == AGN_OK)
        status = agn_preset_format(&task->preset, row->preset_text, sizeof row->preset_text);
    if (status < 0)
        return status;
    snprintf(row->system, sizeof row->system, "%s", system->name);
    snprintf(row->state, sizeof row->state, "running");
    memcpy(row->split, s->config->plan->split, sizeof row->split);
    snprintf(row->commit_id, sizeof row->commit_id, "%s", AGN_COMMIT);
    snprintf(row->machine, sizeof row->machine, "%s", agn_nn_machine());
    gmtime_r(&now, &utc);
    strftime(row->started, sizeof row->started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return AGN_OK;
}

static double eta_of(const struct sweep *s)
{
    const struct agn_sweep_report *r = &s->report;
    int ended = r->done + r->failed + r->diverged, left = r->runs - r->before - r->copied - ended;
    return ended > 0 ? (agn_now_s() - s->begun_s) / ended * left : (double)NAN;
}

/* ---- begin and end of a run ------------------------------------------------------------------------ */

/* Of another plan in the same file: computed once. */
static int take_from_other_plan(struct sweep *s, const struct agn_sweep_task *task, struct agn_sweep_row *row)
{
    int found = agn__results_get(s->file, NULL, task->id, row);
    if (found <= 0)
        return found;
    char from[AGN_SWEEP_NAME];
    memcpy(from, row->plan, sizeof from);
    name_row(s, task, row);
    int status = agn__results_copy(s->file, from, row);
    return status < 0 ? status : 1;
}

static int update_place(struct sweep *s, const struct agn_sweep_task *task)
{
    return agn_database_run(
        s->file->database,
        "UPDATE runs SET place = ?, dataset = ?, design = ?, settings = ? WHERE plan = ? AND id = ?",
        "itttt"
        "t",
        task->place, task->dataset, task->design, task->settings, s->config->plan->name, task->id);
}

/* 1: nothing is left to do. */
static int is_done(struct sweep *s, const struct agn_sweep_task *task, struct agn_sweep_row *row)
{
    if (s->config->only != NULL)
        return 0;
    int found = agn__results_get(s->file, s->config->plan->name, task->id, row);
    bool open = found > 0 &&
                (strcmp(row->state, "running") == 0 || (s->config->retry && strcmp(row->state, "done") != 0));
    if (found > 0 && !open) {
        s->report.before++;
        bool moved = row->place != task->place || strcmp(row->design, task->design) != 0;
        int status = moved ? update_place(s, task) : AGN_OK; /* the plan was edited */
        return status < 0 ? status : 1;
    }
    if (found < 0)
        return found;
    int copied = take_from_other_plan(s, task, row);
    s->report.copied += copied > 0;
    return copied;
}

static int spawn(struct sweep *s, struct slot *slot)
{
    pid_t parent = getpid();
    slot->outcome->whole = false;
    slot->outcome->point_count = 0;
    fflush(NULL);
    slot->begun_s = agn_now_s();
    slot->pid = fork();
    if (slot->pid == 0)
        be_child(s, slot, parent);
    if (slot->pid < 0) {
        slot->pid = 0;
        return agn_fail(AGN_ERR_IO, "cannot start a process: %s", strerror(errno));
    }
    (void)setpgid(slot->pid, slot->pid);
    s->begun++;
    return AGN_OK;
}

static int begin_run(struct sweep *s, struct slot *slot, int place)
{
    const struct agn_sweep_config *c = s->config;
    struct agn_sweep_row *row = &slot->outcome->row;
    int status = agn_sweep_plan_task(c->plan, place, &slot->task);
    if (status == AGN_OK)
        status = is_done(s, &slot->task, row);
    if (status != AGN_OK)
        return status < 0 ? status : AGN_OK;
    status = begin_row(s, &slot->task, row);
    /* A row that is there stays until the one anew is whole. */
    if (status == AGN_OK && c->only == NULL)
        status = agn__results_put(s->file, row, NULL, 0);
    if (status == AGN_OK)
        status = agn__folder_of(c->out, slot->task.id, slot->folder);
    if (status == AGN_OK)
        status = agn_make_dirs(slot->folder);
    return status < 0 ? status : spawn(s, slot);
}

static void say_how_it_ended(struct slot *slot, int wait_status)
{
    struct agn_sweep_row *row = &slot->outcome->row;
    if (WIFSIGNALED(wait_status))
        snprintf(row->reason, sizeof row->reason, "the process was ended by signal %d (%s)%s",
                 WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)),
                 WTERMSIG(wait_status) == SIGKILL ? ": perhaps it took more memory than there is" : "");
    else
        snprintf(row->reason, sizeof row->reason, "the process ended with exit code %d",
                 WEXITSTATUS(wait_status));
}

/* Puts the run's end into the file, unless it was interrupted. */
static int end_run(struct sweep *s, struct slot *slot, int wait_status)
{
    struct agn__outcome *o = slot->outcome;
    struct agn_sweep_report *r = &s->report;
    struct agn_sweep_row *row = &o->row;
    slot->pid = 0;
    if (!o->whole && s->asked)
        return AGN_OK;
    if (o->whole && o->status == AGN_ERR_INTERRUPTED) {
        agn_interrupt_request(); /* somebody ended this child: the sweep goes with it */
        return AGN_OK;
    }
    if (!o->whole)
        say_how_it_ended(slot, wait_status);
    bool done = o->whole && o->status == AGN_OK, diverged = o->whole && o->status == AGN_ERR_NUMERIC;
    snprintf(row->state, sizeof row->state, "%s", done ? "done" : diverged ? "diverged" : "failed");
    row->seconds = agn_now_s() - slot->begun_s;
    int status = agn__results_put(s->file, row, o->points, done ? o->point_count : 0);
    r->done += done;
    r->diverged += diverged;
    r->failed += !done && !diverged;
    if (status == AGN_OK && (done || diverged) && !s->config->keep)
        agn__folder_remove(slot->folder);
    if (s->config->ended != NULL)
        s->config->ended(s->config->ended_user, row, r, eta_of(s));
    return status;
}

/* ---- all of them -------------------------------------------------------------------------------------- */

static void ask_children(struct sweep *s)
{
    for (int i = 0; i < s->jobs && !s->asked; i++)
        if (s->slots[i].pid > 0)
            kill(s->slots[i].pid, SIGTERM);
    s->asked = true;
}

static int reap(struct sweep *s, int *running)
{
    int status = AGN_OK;
    *running = 0;
    for (int i = 0; i < s->jobs; i++) {
        int how = 0;
        struct slot *slot = &s->slots[i];
        if (slot->pid > 0 && waitpid(slot->pid, &how, WNOHANG) == slot->pid) {
            int ended = end_run(s, slot, how);
            status = status < 0 ? status : ended;
        }
        *running += slot->pid > 0;
    }
    return status;
}

/* The next place of this shard; -1: there is none. */
static int next_place(struct sweep *s)
{
    const struct agn_sweep_config *c = s->config;
    const int count = c->plan->count;
    if (c->limit > 0 && s->begun >= c->limit)
        return -1;
    while (c->shards > 0 && s->next < count && s->next % c->shards != c->shard)
        s->next++;
    return s->next < count ? s->next++ : -1;
}

static int fill_slots(struct sweep *s, bool *more)
{
    for (int i = 0; i < s->jobs && *more; i++)
        while (s->slots[i].pid == 0 && *more && !agn_interrupt_requested()) {
            int place = next_place(s), status = AGN_OK;
            *more = place >= 0;
            if (*more)
                status = begin_run(s, &s->slots[i], place);
            if (status < 0)
                return status;
            if (s->config->only != NULL)
                *more = false;
        }
    return AGN_OK;
}

/* On an error the children are asked to end, and waited for. */
static int run_all(struct sweep *s)
{
    bool more = true;
    int running = 0, status = AGN_OK;
    do {
        if (status == AGN_OK && !s->asked)
            status = fill_slots(s, &more);
        if (status < 0 || agn_interrupt_requested())
            ask_children(s);
        int ended = reap(s, &running);
        status = status < 0 ? status : ended;
        if (running > 0)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    } while (running > 0 || (more && status == AGN_OK && !agn_interrupt_requested()));
    return status;
}

static int open_slots(struct sweep *s)
{
    s->slots = agn_alloc((size_t)s->jobs, sizeof *s->slots);
    for (int i = 0; s->slots != NULL && i < s->jobs; i++) {
        void *shared = mmap(NULL, sizeof(struct agn__outcome), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
            return agn_fail(AGN_ERR_MEMORY, "no memory to share with %d processes", s->jobs);
        s->slots[i].outcome = shared;
    }
    return s->slots == NULL ? AGN_ERR_MEMORY : AGN_OK;
}

static void close_slots(struct sweep *s)
{
    for (int i = 0; s->slots != NULL && i < s->jobs; i++)
        if (s->slots[i].outcome != NULL)
            munmap(s->slots[i].outcome, sizeof(struct agn__outcome));
    agn_free(s->slots);
}

/* A data set that is not there would let every run fail. */
static int check_data(const struct agn_sweep_plan *plan)
{
    for (int i = 0; i < plan->presets.count; i++)
        if (plan->loaded[i].data.path[0] != '\0' && !agn_file_exists(plan->loaded[i].data.path))
            return agn_fail(AGN_ERR_NOT_FOUND, "%s: the data set of preset %s is not there: %s", plan->path,
                            plan->loaded[i].name, plan->loaded[i].data.path);
    return AGN_OK;
}

static int count_runs(struct sweep *s)
{
    const struct agn_sweep_config *c = s->config;
    const int count = c->plan->count;
    if (c->only != NULL) {
        s->next = agn_sweep_plan_find(c->plan, c->only);
        s->report.runs = 1;
        return s->next < 0 ? s->next : AGN_OK;
    }
    s->report.runs = c->shards > 0 ? (count - c->shard + c->shards - 1) / c->shards : count;
    return AGN_OK;
}

int agn_sweep_run(const struct agn_sweep_config *config, struct agn_sweep_report *report)
{
    struct sweep s = {.config = config, .jobs = config->jobs > 0 ? config->jobs : 1, .begun_s = agn_now_s()};
    if (s.jobs > MOST_JOBS)
        return agn_fail(AGN_ERR_RANGE, "%d runs at once: expected at most %d", s.jobs, MOST_JOBS);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    s.threads = config->threads > 0 ? config->threads : cores > s.jobs ? (int)cores / s.jobs : 1;
    int status = count_runs(&s);
    if (status == AGN_OK)
        status = check_data(config->plan);
    if (status == AGN_OK)
        status = agn_sweep_open(config->out, true, &s.file);
    if (status == AGN_OK)
        status = open_slots(&s);
    if (status == AGN_OK)
        status =
            agn__results_put_plan(s.file, config->plan->name, config->plan->question, config->plan->text);
    if (status == AGN_OK)
        status = run_all(&s);
    close_slots(&s);
    agn_sweep_close(s.file);
    struct agn_sweep_report *r = &s.report;
    r->left = r->runs - r->before - r->copied - r->done - r->failed - r->diverged;
    r->seconds = agn_now_s() - s.begun_s;
    *report = *r;
    if (status == AGN_OK && r->left > 0 && agn_interrupt_requested())
        status = agn_fail(AGN_ERR_INTERRUPTED, "interrupted; the same command goes on with %s", config->out);
    return status;
}
