/*
 * sysfs.h - reads the small text files of sysfs, procfs and cgroups. What is missing, too long or no text is unknown:
 * false, outputs untouched. Nothing here reports errors; a machine without a file is an ordinary machine.
 */
#ifndef FM_SYSFS_H
#define FM_SYSFS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { FM_PCI_TEXT_MAX = 16 };

/* The text of directory/file without white space at its end; never empty. */
bool fm_sysfs_text(const char *directory, const char *file, char *text, size_t bytes);
/* A decimal number from low to high, alone in its file. */
bool fm_sysfs_integer(const char *directory, const char *file, long low, long high, long *value);
/* Where the link directory/file leads, every link on the way resolved. */
bool fm_sysfs_resolve(const char *directory, const char *file, char path[PATH_MAX]);

/* "0000:3b:00.0", or "3b:00.0", which is of domain 0, into the former; domains over 0xffff exist behind Intel's VMD. */
bool fm_pci_parse(const char *text, char pci[FM_PCI_TEXT_MAX]);
/*
 * The PCI function of a resolved device and its memory node, both untouched where it has none. It is the device itself
 * or, for virtio and scalable functions, its parent. No further up: a USB adapter's next PCI ancestor is the USB
 * controller.
 */
void fm_sysfs_pci(const char *device, char pci[FM_PCI_TEXT_MAX], int *numa_node);

/* "17" and nothing else, from low to high. */
bool fm_integer_parse(const char *text, long low, long high, long *value);

#endif
