#include "orchestrator/stream/topic.h"

#include <ctype.h>
#include <string.h>

bool topic_is_name(const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n > TOPIC_MAX || text[0] == '/' || text[n - 1] == '/' || strstr(text, "//"))
        return false;
    for (const char *p = text; *p; p++)
        if (!(isalnum((unsigned char)*p) && (unsigned char)*p < 128) && !strchr("._-/", *p))
            return false;
    return true;
}

bool topic_matches(const char *pattern, const char *topic)
{
    for (;;) {
        size_t p = strcspn(pattern, "/"), t = strcspn(topic, "/");
        bool any = p == 1 && *pattern == '+';
        if (any ? t == 0 : p != t || memcmp(pattern, topic, t) != 0)
            return false;
        pattern += p;
        topic += t;
        if (!*pattern || !*topic)
            return *pattern == *topic;
        pattern++;
        topic++;
    }
}
