/*
 * outputs.c - opens, feeds and closes the writers.
 */
#include "bench/outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/output.h"

/* The write of the stream of --raw: always all right, so that its caller need not ask. */
static ssize_t raw_write(void *cookie, const char *bytes, size_t count)
{
	struct fm_raw_file *file = cookie;

	if (file->number == 0 && fm_output_put(file->fd, bytes, count, -1) != count)
		file->number = errno;
	return (ssize_t)count;
}

static int raw_close(void *cookie)
{
	struct fm_raw_file *file = cookie;

	/* A network file system may tell of a full disk only now. */
	if (close(file->fd) != 0 && file->number == 0)
		file->number = errno;
	return 0;
}

/* stdout under a second descriptor, so that closing is the same for both. */
static int raw_descriptor(const char *path, struct fm_error *error)
{
	int fd;

	if (strcmp(path, "-") != 0)
		return fm_output_create(path, error);
	fd = fm_output_stdout(error);
	if (fd < 0)
		return fd;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd >= 0 ? fd
		       : fm_error_set(error, -errno, FM_REASON_RESULTS, "cannot write results to standard output: %s",
				      strerror(errno));
}

static int output_add(struct fm_outputs *output, const struct fm_writer_kind *kind, const char *option,
		      const char *path, struct fm_error *error)
{
	int code = kind->open(path, &output->writers[output->count].writer, error);

	if (code)
		return code;
	output->writers[output->count].option = option;
	output->writers[output->count++].kind = kind;
	return 0;
}

static int output_folder(struct fm_outputs *output, const char *parent, bool given, const char *run_id,
			 struct fm_error *error)
{
	char path[sizeof(output->folder.path) + 16];
	int code = fm_folder_create(parent, run_id, &output->folder, error);

	if (code == 0 && output->folder.path[0]) {
		snprintf(path, sizeof(path), "%s/results.csv", output->folder.path);
		code = output_add(output, &fm_writer_csv, "--out", path, error);
	}
	if (code == 0 || given)
		return code;
	snprintf(output->warning, sizeof(output->warning), "%s", error->text);
	output->folder.path[0] = '\0';
	return 0;
}

static int output_raw(struct fm_outputs *output, const char *path, struct fm_error *error)
{
	const cookie_io_functions_t functions = {.write = raw_write, .close = raw_close};
	int fd = raw_descriptor(path, error);

	if (fd < 0)
		return fd;
	output->raw_file = (struct fm_raw_file){.fd = fd, .path = path};
	output->raw = fopencookie(&output->raw_file, "w", functions);
	if (!output->raw) {
		close(fd);
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the stream of --raw");
	}
	fputs("point_id,transport,test,size_bytes,rail,stream,repetition,operations,at_ns\n", output->raw);
	return 0;
}

/* Something that results are written to, as the user named it. */
struct place {
	const char *option, *path;
	struct stat status;
};

/* A terminal or /dev/null keeps nothing that could be written over. */
static bool place_same(const struct place *a, const struct place *b)
{
	return a->status.st_dev == b->status.st_dev && a->status.st_ino == b->status.st_ino &&
	       !S_ISCHR(a->status.st_mode);
}

static void place_add(struct place *places, uint32_t *count, const char *option, const char *path, int fd)
{
	struct place *place = &places[*count];

	place->option = option;
	place->path = path;
	*count += fstat(fd, &place->status) == 0;
}

/* Each writer keeps its own end of a file, so two would write over each other's rows. */
static int outputs_apart(const struct fm_outputs *output, struct fm_error *error)
{
	struct place places[FM_WRITERS_MAX + 2];
	uint32_t count = 0;

	place_add(places, &count, "standard", "output", STDOUT_FILENO);
	for (uint32_t i = 0; i < output->count; i++)
		if (output->writers[i].writer->owned)
			place_add(places, &count, output->writers[i].option, output->writers[i].writer->name,
				  output->writers[i].writer->fd);
	if (output->raw && strcmp(output->raw_file.path, "-") != 0)
		place_add(places, &count, "--raw", output->raw_file.path, output->raw_file.fd);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (place_same(&places[i], &places[j]))
				return fm_error_set(
					error, -EINVAL, FM_REASON_USAGE,
					"%s %s and %s %s are one file: results would write over each other; name "
					"another for one of them",
					places[j].option, places[j].path, places[i].option, places[i].path);
	return 0;
}

int fm_outputs_open(struct fm_outputs *output, const struct fm_pair_output *config, bool out_given, const char *run_id,
		    struct fm_error *error)
{
	bool on_stdout =
		strcmp(config->csv, "-") == 0 || strcmp(config->json, "-") == 0 || strcmp(config->raw, "-") == 0;
	int code;

	if (config->stream) {
		*output = (struct fm_outputs){.stream = true};
		fm_stream_put_text("run_id", run_id);
		return output_add(output, &fm_writer_stream, "--stream", "-", error);
	}
	*output = (struct fm_outputs){.table = !on_stdout};
	code = output_folder(output, config->out, out_given, run_id, error);
	if (code == 0 && output->table)
		code = output_add(output, &fm_writer_text, "the table", "-", error);
	if (code == 0 && config->csv[0])
		code = output_add(output, &fm_writer_csv, "--csv", config->csv, error);
	if (code == 0 && config->json[0])
		code = output_add(output, &fm_writer_json, "--json", config->json, error);
	if (code == 0 && config->raw[0])
		code = output_raw(output, config->raw, error);
	if (code == 0)
		code = outputs_apart(output, error);
	if (code) {
		struct fm_error ignored;

		fm_outputs_close(output, &ignored);
	}
	return code;
}

int fm_outputs_row(struct fm_outputs *output, const struct fm_record *record, struct fm_error *error)
{
	int first = 0;

	for (uint32_t i = 0; i < output->count; i++) {
		struct fm_error later;
		int code = output->writers[i].kind->row(output->writers[i].writer, record, first ? &later : error);

		if (!first)
			first = code;
	}
	return first;
}

static int raw_fail(const struct fm_raw_file *file, struct fm_error *error)
{
	const char *name = strcmp(file->path, "-") == 0 ? "standard output" : file->path;
	char cause[128];

	return fm_error_set(error, -file->number, FM_REASON_RESULTS,
			    "cannot write %s: %s; its stamps end in the middle, all else was measured and kept", name,
			    fm_output_cause(file->number, cause, sizeof(cause)));
}

int fm_outputs_close(struct fm_outputs *output, struct fm_error *error)
{
	int first = 0;

	for (uint32_t i = 0; i < output->count; i++) {
		struct fm_error later;
		int code = output->writers[i].kind->close(output->writers[i].writer, first ? &later : error);

		if (!first)
			first = code;
	}
	if (output->raw)
		fclose(output->raw);
	if (output->raw && output->raw_file.number && !first)
		first = raw_fail(&output->raw_file, error);
	*output = (struct fm_outputs){.count = 0};
	return first;
}
