/*
 * error.h - one error: a negative errno, a closed reason for programs, and a sentence for people.
 *
 * Every function that can fail returns 0 (or a count) or a negative errno and writes the sentence into the caller's
 * struct fm_error. The function that first knows what went wrong writes it; callers only prefix context. Success
 * leaves the error untouched. The helpers are inline so that a transport module needs no symbol of the program.
 */
#ifndef FM_ERROR_H
#define FM_ERROR_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The column reason_code: closed and append-only. X(constant, name in the column, what it means) */
#define FM_REASONS(X)                                                                                                  \
	X(NONE, "", "nothing failed")                                                                                  \
	X(USAGE, "usage", "the command line asks for something that makes no sense")                                   \
	X(ENVIRONMENT, "environment", "this machine lacks something that the run needs")                               \
	X(OUT_OF_MEMORY, "out_of_memory", "memory could not be allocated or locked")                                   \
	X(UNREACHABLE, "unreachable", "no connection to the other node: name, route or firewall")                      \
	X(REFUSED, "refused", "the other node answers, but nothing listens on the port")                               \
	X(TOKEN, "token", "no token, a token that cannot be used, or one that differs from the peer's")                \
	X(VERSION, "version", "the two ends speak different protocol versions")                                        \
	X(PROTOCOL, "protocol", "a message that does not belong here: garbage, or another program")                    \
	X(BUSY, "busy", "the server is measuring with somebody else")                                                  \
	X(PEER_LOST, "peer_lost", "the peer closed, died or fell silent")                                              \
	X(PEER_FAILED, "peer_failed", "the peer could not do its part and said why")                                   \
	X(TIMEOUT, "timeout", "a deadline passed")                                                                     \
	X(UNSUPPORTED, "unsupported", "the transport, device or memory kind cannot do this test")                      \
	X(ABSENT, "absent", "the transport or memory kind cannot run on this machine")                                 \
	X(PLACEMENT, "placement", "no device, address or CPU fits the request")                                        \
	X(CONNECT, "connect", "the data path could not be set up")                                                     \
	X(TRANSFER, "transfer", "an operation on the data path failed")                                                \
	X(LOST, "lost", "operations did not arrive on a path that must not lose any")                                  \
	X(VERIFY, "verify", "payload arrived changed")                                                                 \
	X(UNSURE, "unsure", "measured, but less surely than was required")                                             \
	X(RESULTS, "results", "results could not be written or read")                                                  \
	X(INTERRUPTED, "interrupted", "a signal ended the run")                                                        \
	X(INTERNAL, "internal", "a defect in fabmark")                                                                 \
	X(DISTURBED, "disturbed", "measured, but the link, port or address changed meanwhile")

enum fm_reason {
#define FM_REASON_ENUM(constant, name, meaning) FM_REASON_##constant,
	FM_REASONS(FM_REASON_ENUM)
#undef FM_REASON_ENUM
		FM_REASON_COUNT
};

struct fm_error {
	int code; /* negative errno */
	enum fm_reason reason;
	char text[512]; /* lower case: the thing, the cause, the next step */
};

/* Fills error; for fm_error_set, which is what to call. */
__attribute__((format(printf, 4, 5))) static inline void fm_error_write(struct fm_error *error, int code,
									enum fm_reason reason, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	error->reason = reason;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
}

/*
 * Fills error and yields code, so that a failure is one line: return fm_error_set(error, -EINVAL, reason, format, ...).
 * A macro, since static analysis does not look into a function with variable arguments and would go on as if a failure
 * might be a success. It reads code once, and first.
 */
#define fm_error_set(error, code, ...)                                                                                 \
	__extension__({                                                                                                \
		const int fm_error_code_ = (code);                                                                     \
		fm_error_write((error), fm_error_code_, __VA_ARGS__);                                                  \
		fm_error_code_;                                                                                        \
	})

/* Puts context in front of the sentence and returns error->code. */
__attribute__((format(printf, 2, 3))) static inline int fm_error_prefix(struct fm_error *error, const char *format, ...)
{
	char text[sizeof(error->text)];
	va_list arguments;
	size_t used;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	used = strlen(text);
	snprintf(text + used, sizeof(text) - used, "%.*s", (int)(sizeof(text) - used - 1), error->text);
	memcpy(error->text, text, sizeof(text));
	return error->code;
}

/* The name in the column reason_code; "internal" for a value outside the enumeration. */
const char *fm_reason_name(enum fm_reason reason);
/* What the reason means, for docs/schema.md. */
const char *fm_reason_meaning(enum fm_reason reason);
/* The reason with this name; FM_REASON_INTERNAL where there is none (a newer peer's). */
enum fm_reason fm_reason_find(const char *name);

#endif
