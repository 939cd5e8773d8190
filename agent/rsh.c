/* trainyard-rsh: what mpirun calls instead of ssh.
 *
 *     trainyard-rsh [options] HOST command words...
 *
 * Has the agent on HOST run the command inside the same job's allocation (spawn.h), and ends as it ends. On
 * the own node it just runs it: this process already is inside. Waits through a restart of the local agent.
 * Plain blocking sockets. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/file.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define RECONNECT_TRIES 1200 /* each a quarter of a second */

struct call {
    const char *host, *socket, *secret_file;
    long long job, fence;
    char id[17];
    char *command; /* the words, joined as ssh does */
};

static void usage(FILE *to)
{
    fprintf(to, "usage: trainyard-rsh [options] HOST command...\n"
                "Called by mpirun inside a job; runs the command on another node of the job's allocation.\n");
}

static int agent_connect(const struct call *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", c->socket);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int ask(const struct call *c, int fd, bool attach, struct err *err)
{
    struct buf secret = {0};
    if (file_read(c->secret_file, 128, &secret, err) < 0)
        return -1;
    json_t *o = json_pack("{s:I,s:I,s:s,s:s,s:s,s:[sss],s:b}", "job", (json_int_t)c->job, "fence",
                          (json_int_t)c->fence, "secret", buf_str(&secret), "id", c->id, "host", c->host,
                          "argv", "/bin/sh", "-c", c->command, "attach", attach);
    char *text = o ? json_text(o) : NULL, *line = text ? xasprintf("%s\n", text) : NULL;
    int rc = line && file_write_all(fd, line, strlen(line)) == 0
                 ? 0
                 : err_set(err, ERR_IO, "cannot ask the agent: %s", strerror(errno));
    free(line);
    free(text);
    json_decref(o);
    buf_free(&secret);
    return rc;
}

/* One line of the agent. True: it was the last, *code is the exit code. */
static bool line_take(const char *line, size_t n, int *code)
{
    json_t *o = json_parse(line, n, NULL, NULL, NULL);
    const char *text = json_string_value(json_object_get(o, "text")),
               *stream = json_string_value(json_object_get(o, "stream"));
    const json_t *exit_code = json_object_get(o, "exit_code");
    bool last = json_is_integer(exit_code);
    if (text && stream)
        (void)file_write_all(strcmp(stream, "stdout") == 0 ? 1 : 2, text, strlen(text));
    if (last) {
        const char *message = json_string_value(json_object_get(o, "message"));
        *code = (int)json_integer_value(exit_code);
        if (message && *message)
            fprintf(stderr, "trainyard-rsh: %s\n", message);
    }
    json_decref(o);
    return last;
}

/* True: the command has ended. False: the agent went away. */
static bool follow(int fd, int *code)
{
    struct buf in = {0};
    char chunk[65536];
    bool ended = false;
    for (ssize_t n; !ended && ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR));) {
        buf_add(&in, chunk, n > 0 ? (size_t)n : 0);
        for (char *nl; !ended && in.len && (nl = memchr(in.data, '\n', in.len));) {
            size_t len = (size_t)(nl - in.data);
            ended = line_take(in.data, len, code);
            buf_drop_front(&in, len + 1);
        }
    }
    buf_free(&in);
    return ended;
}

static int remote(const struct call *c)
{
    struct err err = {0};
    int code = 255;
    bool asked = false;
    for (int try = 0; try < RECONNECT_TRIES; try++) {
        int fd = agent_connect(c);
        if (fd >= 0 && ask(c, fd, asked, &err) == 0) {
            asked = true;
            try = 0;
            bool ended = follow(fd, &code);
            close(fd);
            if (ended)
                return code;
        } else if (fd >= 0) {
            close(fd);
        }
        usleep(250000);
    }
    fprintf(stderr, "trainyard-rsh: the agent on this node does not answer at %s; is it running?\n",
            c->socket);
    return 255;
}

static bool host_is_here(const char *host)
{
    char name[256] = "";
    const char *node = getenv("TRAINYARD_NODE");
    (void)gethostname(name, sizeof(name) - 1);
    return strcmp(host, "localhost") == 0 || strcmp(host, name) == 0 || (node && strcmp(host, node) == 0);
}

int main(int argc, char **argv)
{
    struct call c = {.socket = getenv("TRAINYARD_AGENT_SOCKET"),
                     .secret_file = getenv("TRAINYARD_AGENT_SECRET_FILE")};
    const char *attempt = getenv("TRAINYARD_ATTEMPT");
    struct buf command = {0};
    int i = 1;

    log_init(LOG_LEVEL_WARN, false);
    signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        usage(stdout);
        return 0;
    }
    while (i < argc && argv[i][0] == '-')
        i++;
    if (argc - i < 2) {
        usage(stderr);
        return 2;
    }
    c.host = argv[i++];
    for (int first = i; i < argc; i++)
        buf_printf(&command, "%s%s", i > first ? " " : "", argv[i]);
    c.command = buf_steal(&command);
    if (host_is_here(c.host)) {
        execl("/bin/sh", "sh", "-c", c.command, (char *)NULL);
        fprintf(stderr, "trainyard-rsh: cannot run /bin/sh: %s\n", strerror(errno));
        return 127;
    }
    if (!c.socket || !c.secret_file || !attempt || sscanf(attempt, "%lld.%lld", &c.job, &c.fence) != 2) {
        fprintf(stderr, "trainyard-rsh: works inside a Trainyard job only: TRAINYARD_AGENT_SOCKET, "
                        "TRAINYARD_AGENT_SECRET_FILE and "
                        "TRAINYARD_ATTEMPT must be set\n");
        return 255;
    }
    random_hex(c.id, 16);
    int code = remote(&c);
    free(c.command);
    return code;
}
