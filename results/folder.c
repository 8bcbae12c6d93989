/*
 * folder.c - makes the results folder of a run and writes documents into it.
 */
#include "results/folder.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "results/output.h"

/* The host name up to the first dot, fit for a file name. */
static void run_node(char *node, size_t bytes)
{
	if (gethostname(node, bytes) != 0)
		node[0] = '\0';
	node[bytes - 1] = '\0';
	node[strcspn(node, ".")] = '\0';
	for (char *at = node; *at; at++)
		if (!isalnum((unsigned char)*at) || (unsigned char)*at > 0x7f)
			*at = '-';
	if (!node[0])
		snprintf(node, bytes, "node");
}

static unsigned run_suffix(void)
{
	struct timespec now;
	uint16_t bits;

	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) == (ssize_t)sizeof(bits))
		return bits;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((unsigned)now.tv_nsec ^ (unsigned)getpid()) & 0xffff;
}

void fm_run_id(char *text, size_t bytes)
{
	time_t now = time(NULL);
	char node[256], stamp[32];
	struct tm utc;

	gmtime_r(&now, &utc);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc);
	run_node(node, sizeof(node));
	snprintf(text, bytes, "%s-%.32s-%04x", stamp, node, run_suffix());
}

static int folder_fail(int number, const char *path, struct fm_error *error)
{
	char cause[128];

	return fm_error_set(error, -number, FM_REASON_RESULTS,
			    "cannot create results folder '%s': %s; choose another with --out DIR, or --out none", path,
			    fm_output_cause(number, cause, sizeof(cause)));
}

/* One folder of the way down. What stands there already will do, whatever mkdir thinks of its file system. */
static int folder_step(const char *path)
{
	struct stat status;
	int number;

	if (mkdir(path, 0777) == 0)
		return 0;
	number = errno;
	if (stat(path, &status) != 0)
		return number;
	return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
}

/* Makes the parents; path is cut and mended on the way. */
static int folder_parents(char *path)
{
	for (char *at = path + 1; *at; at++) {
		int number;

		if (*at != '/')
			continue;
		*at = '\0';
		number = folder_step(path);
		*at = '/';
		if (number)
			return number;
	}
	return 0;
}

int fm_folder_create(const char *parent, const char *run_id, struct fm_folder *folder, struct fm_error *error)
{
	char path[sizeof(folder->path)];
	int number;

	if (strcmp(parent, "none") == 0) {
		folder->path[0] = '\0';
		return 0;
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", parent[0] ? parent : ".", run_id) >= sizeof(path))
		return folder_fail(ENAMETOOLONG, parent, error);
	number = folder_parents(path);
	/* The last one must be new, or two runs would share it. */
	if (number == 0 && mkdir(path, 0777) != 0)
		number = errno;
	if (number)
		return folder_fail(number, path, error);
	snprintf(folder->path, sizeof(folder->path), "%s", path);
	return 0;
}

static int document_fail(int number, const char *path, struct fm_error *error)
{
	char cause[128];

	return fm_error_set(error, -number, FM_REASON_RESULTS, "cannot write '%s': %s; nothing of it was kept", path,
			    fm_output_cause(number, cause, sizeof(cause)));
}

/* 0 or an errno. */
static int document_write(const char *path, const json_t *document)
{
	FILE *out = fopen(path, "we");
	int number = 0;

	if (!out)
		return errno;
	errno = 0;
	if (json_dumpf(document, out, JSON_INDENT(2)) != 0 || putc('\n', out) == EOF || fflush(out) != 0 ||
	    fsync(fileno(out)) != 0)
		number = errno ? errno : EIO;
	if (fclose(out) != 0 && number == 0)
		number = errno;
	return number;
}

/* A rename is on the disk only once its folder is; a file system that cannot say so is left to its own pace. */
static void folder_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

int fm_folder_write(const struct fm_folder *folder, const char *name, const json_t *document, struct fm_error *error)
{
	char path[sizeof(folder->path) + 256], draft[sizeof(folder->path) + 256];
	int number;

	if (!folder->path[0])
		return 0;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder->path, name) >= sizeof(path) ||
	    (size_t)snprintf(draft, sizeof(draft), "%s/.%s.new", folder->path, name) >= sizeof(draft))
		return document_fail(ENAMETOOLONG, name, error);
	number = document_write(draft, document);
	if (number == 0 && rename(draft, path) != 0)
		number = errno;
	if (number) {
		unlink(draft);
		return document_fail(number, path, error);
	}
	folder_sync(folder->path);
	return 0;
}
