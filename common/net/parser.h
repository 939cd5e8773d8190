/* parser: http_parser.h, whose enum http_method would clash with ours. */
#ifndef NET_PARSER_H
#define NET_PARSER_H

#define http_method http_parser_method
#include <http_parser.h>
#undef http_method

#endif
