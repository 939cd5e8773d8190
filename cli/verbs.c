/* THE table of commands. */
#include "cli/verb.h"

#include <stddef.h>

// clang-format off
const struct opt global_opts[] = {
    {"url",   0, OPT_STR,  "URL",   "The server, as http://host:port."},
    {"token", 0, OPT_STR,  "TOKEN", "A bearer token of it."},
    {"state", 0, OPT_STR,  "DIR",   "The state folder of a server on this machine (default ~/.local/share/trainyard)."},
    {"json",  0, OPT_FLAG, NULL,    "Print what the API answers, as JSON."},
    {0}};

#define TASK_OPT {"task", 't', OPT_STR, "TASK", "The task it belongs to."}

static const struct opt up_opts[] = {
    {"listen",   0, OPT_STR, "ADDRESS", "Where to listen (default 127.0.0.1:7878; TRAINYARD_LISTEN)."},
    {"database", 0, OPT_STR, "URL",     "A PostgreSQL of your own, instead of a private one (TRAINYARD_DATABASE)."},
    {"cores",    0, OPT_STR, "N",       "Cores that jobs may use (default: all)."},
    {"node",     0, OPT_STR, "NAME",    "What this machine is called (default: its host name)."},
    {0}};
static const struct opt down_opts[] = {
    {"keep-jobs", 0, OPT_FLAG, NULL, "Leave running jobs alone; the next `trainyard up` finds them again."},
    {0}};
static const struct opt status_opts[] = {
    {"signin", 0, OPT_FLAG, NULL, "Also print a link that signs a browser in once."},
    {0}};
static const struct opt login_opts[] = {
    {"user",    'u', OPT_STR,  "NAME", "Sign in with this name and a password instead of a token."},
    {"browser", 0,   OPT_FLAG, NULL,   "Print a link that signs a browser in once, within 15 minutes."},
    {0}};
static const struct opt task_create_opts[] = {
    {"type",        0, OPT_STR,  "TYPE",  "classification, regression, language-model or other (default)."},
    {"description", 0, OPT_STR,  "TEXT",  "What it is about."},
    {"label",       0, OPT_LIST, "LABEL", "A label to find it by."},
    {0}};
static const struct opt asset_opts[] = {TASK_OPT, {0}};
static const struct opt asset_list_opts[] = {
    TASK_OPT,
    {"all", 'a', OPT_FLAG, NULL, "All versions, not only the newest."},
    {0}};
static const struct opt asset_get_opts[] = {
    TASK_OPT,
    {"output", 'o', OPT_STR, "FILE", "Where to write it (default: its name; - is standard output)."},
    {0}};
static const struct opt asset_add_opts[] = {
    TASK_OPT,
    {"description", 0, OPT_STR, "TEXT", "What it is."},
    {"metadata",    0, OPT_STR, "JSON", "More about it, a JSON object."},
    {0}};
static const struct opt dataset_add_opts[] = {
    TASK_OPT,
    {"description",   0, OPT_STR, "TEXT",   "What it is."},
    {"metadata",      0, OPT_STR, "JSON",   "More about it, a JSON object."},
    {"target",        0, OPT_STR, "COLUMN", "The column to predict (tables)."},
    {"task-type",     0, OPT_STR, "TYPE",   "classification or regression (tables; default: by the column)."},
    {"test-fraction", 0, OPT_STR, "F",      "The part kept for testing when there is no test set (0 to 1)."},
    {0}};
static const struct opt verify_opts[] = {
    {"layer",   0,   OPT_LIST, "FILE", "A layer file that the model uses."},
    {"options", 0,   OPT_STR,  "JSON", "How to read a dataset: target, task_type, test_fraction, seed."},
    {"all",     'a', OPT_FLAG, NULL,   "Show the checks that passed, too."},
    {0}};
static const struct opt train_opts[] = {
    TASK_OPT,
    {"dataset",        'd', OPT_STR,  "NAME[@V]",       "What to train on."},
    {"algorithm",      'a', OPT_STR,  "NAME[@V]",       "How to train."},
    {"model",          'm', OPT_STR,  "NAME[@V]",       "What to train."},
    {"name",           'n', OPT_STR,  "NAME",           "A name for the run."},
    {"ranks",          'r', OPT_STR,  "N",              "Processes that train together (default 1)."},
    {"cores-per-rank", 0,   OPT_STR,  "N",              "Cores for each of them (default 1)."},
    {"gpus-per-rank",  0,   OPT_STR,  "N",              "GPUs for each of them (default 0)."},
    {"memory",         0,   OPT_STR,  "SIZE",           "Memory of the whole run, such as 4G."},
    {"partition",      'p', OPT_STR,  "NAME",           "The partition to run in."},
    {"set",            0,   OPT_LIST, "/POINTER=VALUE", "Override a member of the algorithm, such as /epochs=3."},
    {"time-limit",     0,   OPT_STR,  "TIME",           "End it after this time, such as 2h."},
    {"priority",       0,   OPT_STR,  "N",              "Higher goes first (default 0)."},
    {"follow",         'f', OPT_FLAG, NULL,             "Show it live, and end with its exit status."},
    {"attach",         0,   OPT_STR,  "JOB",            "Follow a run that was submitted before."},
    {0}};
static const struct opt submit_opts[] = {
    {"task",          0,   OPT_STR,  "TASK", "The task it belongs to."},
    {"job-name",      'J', OPT_STR,  "NAME", "A name for the job (default: the script's)."},
    {"ntasks",        'n', OPT_STR,  "N",    "Processes (default 1)."},
    {"cpus-per-task", 'c', OPT_STR,  "N",    "Cores for each of them (default 1)."},
    {"gpus-per-task", 0,   OPT_STR,  "N",    "GPUs for each of them (default 0)."},
    {"nodes",         'N', OPT_STR,  "N",    "With --mem and --ntasks-per-node: how many of them."},
    {"mem",           0,   OPT_STR,  "SIZE", "Memory for each node, such as 4G; a number alone is MiB."},
    {"time",          't', OPT_STR,  "TIME", "End it after this time: minutes, h:m:s or d-h:m:s."},
    {"partition",     'p', OPT_STR,  "NAME", "The partition to run in."},
    {"priority",      0,   OPT_STR,  "N",    "Higher goes first (default 0)."},
    {"export",        0,   OPT_STR,  "NAMES", "Variables it gets: ALL, or names and NAME=VALUE with commas (default: none)."},
    {"hold",          'H', OPT_FLAG, NULL,   "Keep it from starting until it is released."},
    {"follow",        'f', OPT_FLAG, NULL,   "Show it live, and end with its exit status."},
    {0}};
static const struct opt sim_opts[] = {
    {"trace",    0, OPT_STR, "FILE",   "Jobs as CSV: ours or Alibaba's cluster-trace-gpu-v2023."},
    {"generate", 0, OPT_STR, "JOBS",   "So many jobs of chance, instead of a trace."},
    {"seed",     0, OPT_STR, "N",      "Of the chance (default 1)."},
    {"nodes",    0, OPT_STR, "N|FILE", "So many nodes of 64 cores, 512 GiB and 8 GPUs (default 16), or a list as CSV."},
    {"policy",   0, OPT_STR, "NAME",   "default, fifo, first-fit, easy, conservative or sjf."},
    {0}};
static const struct opt ps_opts[] = {
    {"all",      'a', OPT_FLAG, NULL,     "Also the jobs that have ended."},
    {"task",     't', OPT_STR,  "TASK",   "Only of this task."},
    {"state-is", 0,   OPT_STR,  "STATES", "Only in these states, such as FAILED,TIMEOUT."},
    {"limit",    0,   OPT_STR,  "N",      "At most so many, newest first (default 50)."},
    {0}};
static const struct opt show_opts[] = {
    {"events", 'e', OPT_FLAG, NULL, "Also its event log."},
    {0}};
static const struct opt logs_opts[] = {
    {"follow", 'f', OPT_FLAG, NULL, "Go on until the job has ended."},
    {"tail",   0,   OPT_STR,  "N",  "Only the last N lines."},
    {0}};
static const struct opt metrics_opts[] = {
    {"follow", 'f', OPT_FLAG, NULL, "Go on until the job has ended."},
    {"csv",    0,   OPT_FLAG, NULL, "As a table with commas: time, kind, epoch, step, values."},
    {0}};
static const struct opt results_opts[] = {
    {"output", 'o', OPT_STR,  "DIR",     "Where to put them (default results-JOB)."},
    {"only",   0,   OPT_STR,  "PATTERN", "Only files whose name matches, such as '*.safetensors'."},
    {"list",   'l', OPT_FLAG, NULL,      "Only list them."},
    {0}};
static const struct opt drain_opts[] = {
    {"reason", 0, OPT_STR, "TEXT", "Why: shown to whoever asks."},
    {0}};

#define ASSET_SUBS(add_words, add_max, add_options)                                                                       \
    {"add",    add_words, "Upload and verify; a further version when the name is there.", NULL, add_options,     NULL, 2, add_max, asset_add},    \
    {"list",   "",        "List them.",                                                    NULL, asset_list_opts, NULL, 0, 0,       asset_list},   \
    {"show",   "NAME[@V]", "One of them, with its checks.",                                NULL, asset_opts,      NULL, 1, 1,       asset_show},   \
    {"get",    "NAME[@V]", "Download its bytes.",                                          NULL, asset_get_opts,  NULL, 1, 1,       asset_get},    \
    {"delete", "NAME@V",   "Delete one version.",                                          NULL, asset_opts,      NULL, 1, 1,       asset_delete}, \
    {0}

static const struct verb dataset_subs[] = {ASSET_SUBS("NAME FILE...", -1, dataset_add_opts)};
static const struct verb asset_subs[] = {ASSET_SUBS("NAME FILE", 2, asset_add_opts)};

static const struct verb task_subs[] = {
    {"create", "NAME", "Make a task.",                       NULL, task_create_opts, NULL, 1, 1, task_create},
    {"list",   "",     "List the tasks.",                    NULL, NULL,             NULL, 0, 0, task_list},
    {"show",   "NAME", "One task.",                          NULL, NULL,             NULL, 1, 1, task_show},
    {"delete", "NAME", "Delete a task with all its assets.", NULL, NULL,             NULL, 1, 1, task_delete},
    {0}};
static const struct verb node_subs[] = {
    {"list",   "",     "List the nodes.",                           NULL, NULL,       NULL, 0, 0, node_list},
    {"drain",  "NODE", "Give it no new jobs; those running go on.", NULL, drain_opts, NULL, 1, 1, node_act},
    {"resume", "NODE", "Give it jobs again.",                       NULL, NULL,       NULL, 1, 1, node_act},
    {0}};

const struct verb verbs[] = {
    {"up", "", "Start a server on this machine: PostgreSQL, orchestrator, agent.",
     "What already runs is left as it is. What is said here is kept for the next time.", up_opts, NULL, 0, 0, up_run},
    {"down", "", "Stop it, with its jobs; only the state folder stays.", NULL, down_opts, NULL, 0, 0, down_run},
    {"status", "", "Show the server, its nodes and its jobs.", NULL, status_opts, NULL, 0, 0, status_run},
    {"login", "", "Sign in to a server and remember it, or print a link for the browser.",
     "Without --user it asks for a token (or takes --token). The server is the one of --url.", login_opts, NULL, 0, 0, login_run},
    {"task", NULL, "Tasks: pieces of work that group assets and runs.", NULL, NULL, task_subs, 0, 0, NULL},
    {"dataset", NULL, "Datasets of a task.",
     "Several files, or a folder, become one dataset: they are sent as one archive.", NULL, dataset_subs, 0, 0, NULL},
    {"algorithm", NULL, "Algorithms of a task: how to train.", NULL, NULL, asset_subs, 0, 0, NULL},
    {"layer", NULL, "Layers of a task that its models may use.", NULL, NULL, asset_subs, 0, 0, NULL},
    {"model", NULL, "Models of a task: what to train.", NULL, NULL, asset_subs, 0, 0, NULL},
    {"verify", "[KIND] FILE", "Check a dataset, algorithm, layer or model file; needs no server.",
     "KIND is dataset, algorithm, layer or model; without it the file's \"format\" member says.", verify_opts, NULL, 1, 2, verify_run},
    {"train", "", "Submit a training run.", NULL, train_opts, NULL, 0, 0, train_run},
    {"submit", "SCRIPT [ARGUMENT...]", "Submit a batch script; - is standard input.",
     "The script's own #SBATCH and #TRAINYARD lines are heeded; options here go before them. Write -- before arguments that begin with -.",
     submit_opts, NULL, 1, -1, submit_run},
    {"ps", "", "List the jobs that wait or run.", NULL, ps_opts, NULL, 0, 0, ps_run},
    {"show", "JOB", "Show one job.", NULL, show_opts, NULL, 1, 1, show_run},
    {"logs", "JOB", "Show what a job wrote.", NULL, logs_opts, NULL, 1, 1, logs_run},
    {"metrics", "JOB", "Show the numbers of a run.", NULL, metrics_opts, NULL, 1, 1, metrics_run},
    {"results", "JOB", "Download what a run left.", NULL, results_opts, NULL, 1, 1, results_run},
    {"cancel", "JOB...", "End jobs.", NULL, NULL, NULL, 1, -1, cancel_run},
    {"sim", "", "Simulate the scheduler on a trace, with a report; needs no server.", NULL, sim_opts, NULL, 0, 0, sim_verb},
    {"node", NULL, "Nodes: the machines.", NULL, NULL, node_subs, 0, 0, NULL},
    {"version", "", "Print the version.", NULL, NULL, NULL, 0, 0, version_run},
    {"help", "[COMMAND]", "Say what there is.", NULL, NULL, NULL, 0, 2, help_run},
    {0}};
// clang-format on
