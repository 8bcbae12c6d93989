/*
 * sysfs.c - reads the small text files of sysfs, procfs and cgroups.
 */
#include "topology/sysfs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NUMA_NODE_MAX = 1023 };

static bool path_join(const char *directory, const char *file, char path[PATH_MAX])
{
	int length = snprintf(path, PATH_MAX, "%s/%s", directory, file);

	return length > 0 && length < PATH_MAX;
}

static bool file_read(const char *path, char *bytes, size_t capacity, size_t *count)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = 0;

	*count = 0;
	if (fd < 0)
		return false;
	while (*count < capacity && (got = read(fd, bytes + *count, capacity - *count)) > 0)
		*count += (size_t)got;
	close(fd);
	return got == 0 && *count < capacity;
}

bool fm_sysfs_text(const char *directory, const char *file, char *text, size_t bytes)
{
	char path[PATH_MAX];
	size_t count;
	bool good = false;
	char *read_text = malloc(bytes);

	if (!read_text || !path_join(directory, file, path) || !file_read(path, read_text, bytes, &count))
		goto out;
	while (count > 0 && isspace((unsigned char)read_text[count - 1]))
		count--;
	good = count > 0 && !memchr(read_text, '\0', count);
	if (good) {
		memcpy(text, read_text, count);
		text[count] = '\0';
	}
out:
	free(read_text);
	return good;
}

bool fm_sysfs_integer(const char *directory, const char *file, long low, long high, long *value)
{
	char text[32];

	return fm_sysfs_text(directory, file, text, sizeof(text)) && fm_integer_parse(text, low, high, value);
}

bool fm_sysfs_resolve(const char *directory, const char *file, char path[PATH_MAX])
{
	char link[PATH_MAX], resolved[PATH_MAX];

	if (!path_join(directory, file, link) || !realpath(link, resolved))
		return false;
	memcpy(path, resolved, strlen(resolved) + 1);
	return true;
}

bool fm_integer_parse(const char *text, long low, long high, long *value)
{
	char *end;
	long parsed;

	if (!isdigit((unsigned char)text[text[0] == '-']))
		return false;
	errno = 0;
	parsed = strtol(text, &end, 10);
	if (errno || *end || parsed < low || parsed > high)
		return false;
	*value = parsed;
	return true;
}

bool fm_pci_parse(const char *text, char pci[FM_PCI_TEXT_MAX])
{
	unsigned domain = 0, bus, slot, function;
	int used = -1;

	if (strspn(text, "0123456789abcdefABCDEF:.") != strlen(text))
		return false;
	/* NOLINTNEXTLINE(cert-err34-c): their widths keep the numbers in range */
	if (sscanf(text, "%5x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &used) != 4) {
		domain = 0;
		/* NOLINTNEXTLINE(cert-err34-c): their widths keep the numbers in range */
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function, &used) != 3)
			return false;
	}
	if (used != (int)strlen(text) || slot > 31 || function > 7)
		return false;
	snprintf(pci, FM_PCI_TEXT_MAX, "%04x:%02x:%02x.%x", domain & 0xfffff, bus & 0xff, slot, function);
	return true;
}

void fm_sysfs_pci(const char *device, char pci[FM_PCI_TEXT_MAX], int *numa_node)
{
	char path[PATH_MAX];
	long node;

	snprintf(path, sizeof(path), "%s", device);
	for (int level = 0; level < 2; level++) {
		char *slash = strrchr(path, '/');

		if (!slash)
			return;
		if (fm_pci_parse(slash + 1, pci)) {
			if (fm_sysfs_integer(path, "numa_node", 0, NUMA_NODE_MAX, &node))
				*numa_node = (int)node;
			return;
		}
		*slash = '\0';
	}
}
