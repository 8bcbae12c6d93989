/*
 * output.c - the file or stream under a writer.
 */
#include "results/output.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *fm_output_cause(int number, char *text, size_t bytes)
{
	snprintf(text, bytes, "%s", strerror(number));
	/* "Input/output error" but not "RPC failed". */
	if (text[0] && !isupper((unsigned char)text[1]))
		text[0] = (char)tolower((unsigned char)text[0]);
	return text;
}

static int output_fail(const struct fm_writer *writer, int number, struct fm_error *error)
{
	char cause[128];

	if (number == EPIPE)
		return fm_error_set(error, -EPIPE, FM_REASON_RESULTS,
				    "cannot write results to %s: its reader has closed the pipe", writer->name);
	return fm_error_set(
		error, -number, FM_REASON_RESULTS,
		"cannot write results to %s: %s; the rows before are whole: make room or name another place",
		writer->name, fm_output_cause(number, cause, sizeof(cause)));
}

size_t fm_output_put(int fd, const char *bytes, size_t count, off_t at)
{
	size_t done = 0;

	while (done < count) {
		ssize_t n = at < 0 ? write(fd, bytes + done, count - done)
				   : pwrite(fd, bytes + done, count - done, at + (off_t)done);

		if (n > 0) {
			done += (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			/* Somebody who shares the pipe made it non-blocking. */
			struct pollfd ready = {.fd = fd, .events = POLLOUT};

			poll(&ready, 1, -1);
		} else if (n == 0 || errno != EINTR) {
			if (n == 0)
				errno = EIO;
			break;
		}
	}
	return done;
}

/* A file of our own: over the tail; on failure back to what was there. */
static int output_replace(struct fm_writer *writer, const char *bytes, size_t count, struct fm_error *error)
{
	size_t tail = strlen(writer->tail);
	int number;

	if (fm_output_put(writer->fd, bytes, count, writer->end) == count) {
		writer->end += (off_t)(count - tail);
		return 0;
	}
	number = errno;
	if (ftruncate(writer->fd, writer->end + (off_t)tail) != 0 ||
	    fm_output_put(writer->fd, writer->tail, tail, writer->end) != tail)
		return fm_error_set(error, -number, FM_REASON_RESULTS,
				    "cannot write results to %s: %s; its last row may be cut", writer->name,
				    strerror(errno));
	return output_fail(writer, number, error);
}

/* A stream. A file behind stdout is cut back only where nobody else has written to it since. */
static int output_stream(struct fm_writer *writer, const char *bytes, size_t count, struct fm_error *error)
{
	off_t before = writer->regular ? lseek(writer->fd, 0, SEEK_CUR) : -1;
	size_t done = fm_output_put(writer->fd, bytes, count, -1);
	int number = errno;
	struct stat status;

	if (done == count)
		return 0;
	if (done > 0 && before >= 0 && fstat(writer->fd, &status) == 0 && status.st_size == before + (off_t)done &&
	    ftruncate(writer->fd, before) == 0)
		lseek(writer->fd, before, SEEK_SET);
	return output_fail(writer, number, error);
}

static bool output_keeps_tail(const struct fm_writer *writer)
{
	return writer->owned && writer->regular;
}

static int output_write(struct fm_writer *writer, const char *bytes, size_t count, struct fm_error *error)
{
	return output_keeps_tail(writer) ? output_replace(writer, bytes, count, error)
					 : output_stream(writer, bytes, count, error);
}

static int output_no_memory(const struct fm_writer *writer, struct fm_error *error)
{
	return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "cannot write a row to %s: out of memory",
			    writer->name);
}

FILE *fm_output_begin(struct fm_writer *writer, struct fm_error *error)
{
	writer->draft = open_memstream(&writer->text, &writer->bytes);
	if (!writer->draft)
		output_no_memory(writer, error);
	return writer->draft;
}

static void output_drop_draft(struct fm_writer *writer)
{
	if (writer->draft)
		fclose(writer->draft);
	writer->draft = NULL;
	free(writer->text);
	writer->text = NULL;
}

int fm_output_discard(struct fm_writer *writer, struct fm_error *error)
{
	output_drop_draft(writer);
	return output_no_memory(writer, error);
}

int fm_output_commit(struct fm_writer *writer, struct fm_error *error)
{
	bool broken;
	int code;

	if (output_keeps_tail(writer))
		fputs(writer->tail, writer->draft);
	broken = ferror(writer->draft);
	broken = fclose(writer->draft) != 0 || broken;
	writer->draft = NULL;
	code = broken ? output_no_memory(writer, error) : output_write(writer, writer->text, writer->bytes, error);
	free(writer->text);
	writer->text = NULL;
	if (code == 0)
		writer->rows++;
	return code;
}

static int output_refuse(int number, const char *name, struct fm_error *error)
{
	char cause[128];

	return fm_error_set(error, -number, FM_REASON_RESULTS, "cannot write results to %s: %s; name another place",
			    name, fm_output_cause(number, cause, sizeof(cause)));
}

int fm_output_create(const char *path, struct fm_error *error)
{
	/* Non-blocking: open would wait for the reader of a named pipe, and signals are blocked. */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
	int number = errno;
	struct stat status;

	if (fd < 0 && number == ENXIO && stat(path, &status) == 0 && S_ISFIFO(status.st_mode))
		return fm_error_set(error, -ENXIO, FM_REASON_RESULTS,
				    "cannot write results to %s: nobody reads this named pipe; start its reader first",
				    path);
	if (fd < 0)
		return output_refuse(number, path, error);
	/* Not one of the flags above outlives open, O_NONBLOCK apart. */
	fcntl(fd, F_SETFL, 0);
	return fd;
}

int fm_output_stdout(struct fm_error *error)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return fm_error_set(error, -EBADF, FM_REASON_RESULTS,
				    "cannot write results to standard output: it is closed; name a file instead");
	return STDOUT_FILENO;
}

static int output_target(struct fm_writer *writer, const char *path, struct fm_error *error)
{
	struct stat status;

	writer->owned = strcmp(path, "-") != 0;
	writer->name = strdup(writer->owned ? path : "standard output");
	if (!writer->name)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "cannot open results: out of memory");
	writer->fd = writer->owned ? fm_output_create(path, error) : fm_output_stdout(error);
	if (writer->fd < 0)
		return writer->fd;
	if (fstat(writer->fd, &status) != 0)
		return output_refuse(errno, writer->name, error);
	writer->regular = S_ISREG(status.st_mode);
	return 0;
}

int fm_output_open(const char *path, const char *head, const char *tail, struct fm_writer **writer,
		   struct fm_error *error)
{
	struct fm_writer *made = calloc(1, sizeof(*made));
	struct fm_error ignored;
	int code;

	if (!made)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "cannot open results: out of memory");
	made->fd = -1;
	made->tail = "";
	code = output_target(made, path, error);
	if (code)
		goto out;
	if (head[0]) {
		code = output_write(made, head, strlen(head), error);
		if (code)
			goto out;
	}
	if (output_keeps_tail(made) && tail[0])
		code = output_write(made, tail, strlen(tail), error);
	made->tail = tail;
	if (output_keeps_tail(made))
		made->end -= (off_t)strlen(tail);
out:
	if (code) {
		made->tail = "";
		fm_output_close(made, &ignored);
		return code;
	}
	*writer = made;
	return 0;
}

int fm_output_close(struct fm_writer *writer, struct fm_error *error)
{
	int code = 0;

	if (!writer)
		return 0;
	output_drop_draft(writer);
	if (writer->fd >= 0 && !output_keeps_tail(writer) && writer->tail[0])
		code = output_stream(writer, writer->tail, strlen(writer->tail), error);
	/* A network file system may tell of a full disk only now. */
	if (writer->owned && writer->fd >= 0 && close(writer->fd) != 0 && code == 0)
		code = output_fail(writer, errno, error);
	free(writer->name);
	free(writer);
	return code;
}
