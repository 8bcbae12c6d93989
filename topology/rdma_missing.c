/*
 * rdma_missing.c - what stands between this process and verbs, and how to get it.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topology/rdma.h"
#include "topology/sysfs.h"

/* A NIC's driver, the module that makes RDMA devices of its NICs, and the library's part for these. */
static const struct {
	const char *driver, *module, *provider;
} parts[] = {
	{"mlx5_core", "mlx5_ib", "mlx5"},  {"mlx4_core", "mlx4_ib", "mlx4"},
	{"bnxt_en", "bnxt_re", "bnxt_re"}, {"ice", "irdma", "irdma"},
	{"i40e", "irdma", "irdma"},	   {"irdma", "irdma", "irdma"},
	{"cxgb4", "iw_cxgb4", "cxgb4"},	   {"qede", "qedr", "qedr"},
	{"hns3", "hns_roce_hw_v2", "hns"}, {"efa", "efa", "efa"},
	{"erdma", "erdma", "erdma"},	   {"mana", "mana_ib", "mana"},
	{"hfi1", "hfi1", "hfi1verbs"},	   {"vmw_pvrdma", "vmw_pvrdma", "vmw_pvrdma"},
	{"rxe", "rdma_rxe", "rxe"},	   {"siw", "siw", "siw"},
};

struct search {
	const struct fm_rdma_roots *roots;
	json_t *list;
};

__attribute__((format(printf, 2, 3))) static void say(struct search *search, const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	json_array_append_new(search->list, json_string(line));
}

static bool exists(const char *root, const char *path)
{
	char whole[PATH_MAX];

	return snprintf(whole, sizeof(whole), "%s/%s", root, path) < PATH_MAX && access(whole, F_OK) == 0;
}

static size_t part_of(const char *driver)
{
	size_t i = 0;

	while (i < sizeof(parts) / sizeof(parts[0]) && strcmp(parts[i].driver, driver) != 0)
		i++;
	return i;
}

/* In the exclusive mode a device is seen in one network namespace only. */
static bool devices_are_exclusive(const struct fm_rdma_roots *roots)
{
	char path[PATH_MAX], mode[8];

	return snprintf(path, sizeof(path), "%s/module/ib_core/parameters", roots->sysfs) < PATH_MAX &&
	       fm_sysfs_text(path, "netns_mode", mode, sizeof(mode)) && mode[0] == 'N';
}

static void devices_missing(struct search *search, const struct fm_nics *nics)
{
	const struct fm_rdma_roots *roots = search->roots;
	bool core = exists(roots->sysfs, "class/infiniband"), hardware = false;

	if (core && devices_are_exclusive(roots))
		say(search,
		    "RDMA devices are seen in one network namespace only ('rdma system' says exclusive): 'rdma dev set "
		    "NAME netns THIS' brings one here, 'rdma system set netns shared' shows all of them everywhere");
	for (uint32_t i = 0; i < nics->count; i++) {
		size_t part = part_of(nics->list[i].driver);

		if (part == sizeof(parts) / sizeof(parts[0]) || !nics->list[i].pci[0])
			continue;
		hardware = true;
		say(search,
		    "%s (%s) has no RDMA device: 'modprobe %s' on the host makes one where the NIC has RDMA and its "
		    "firmware allows it",
		    nics->list[i].name, nics->list[i].driver, parts[part].module);
	}
	if (hardware)
		return;
	if (!core)
		say(search,
		    "the kernel has no RDMA (no /sys/class/infiniband): 'modprobe ib_uverbs' on the host, as far as "
		    "its kernel has that module");
	say(search,
	    "there is no RDMA device: no NIC here has a driver that is known for RDMA; to try without such a NIC: "
	    "'modprobe rdma_rxe', then 'rdma link add rxe0 type rxe netdev eth0', or 'ci/quickstart --rig' in the "
	    "source tree");
}

/* A device file that the library speaks through: is it here, and for this user? */
static void device_file_check(struct search *search, const char *device, const char *name)
{
	char path[PATH_MAX], shown[64];

	snprintf(shown, sizeof(shown), "/dev/infiniband/%s", name);
	if (snprintf(path, sizeof(path), "%s/infiniband/%s", search->roots->dev, name) >= PATH_MAX)
		return;
	if (access(path, F_OK) != 0)
		say(search,
		    "%s needs %s, which is not here: %sa container must be given it (--device /dev/infiniband, or a "
		    "device plug-in)",
		    device, shown, strcmp(name, "rdma_cm") == 0 ? "'modprobe rdma_ucm' on the host; " : "");
	else if (access(path, R_OK | W_OK) != 0)
		say(search,
		    "%s needs %s, which this user may not read and write: 'chmod a+rw %s' as root, or the udev rules "
		    "of the package rdma-core",
		    device, shown, shown);
}

static void device_file_missing(struct search *search, const struct fm_rdma_port *port)
{
	if (!port->uverbs[0])
		say(search, "%s has no device file: 'modprobe ib_uverbs' on the host", port->device);
	else
		device_file_check(search, port->device, port->uverbs);
	/* It is connected by rdma_cm alone; others by that only where it is asked for. */
	if (port->gid_count && strcmp(port->gids[0].type, "iWARP") == 0)
		device_file_check(search, port->device, "rdma_cm");
}

/* libibverbs reads a file for each provider, from its folder of configuration. */
static void provider_missing(struct search *search, const struct fm_rdma_port *port)
{
	static const char *const folders[] = {"etc/libibverbs.d", "usr/etc/libibverbs.d", "usr/local/etc/libibverbs.d"};
	size_t part = part_of(port->driver);
	char file[128];
	bool known = false;

	if (part == sizeof(parts) / sizeof(parts[0]))
		return;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(file, sizeof(file), "%s/%s.driver", folders[i], parts[part].provider);
		known = known || exists(search->roots->root, file);
	}
	if (!known)
		say(search,
		    "%s needs the provider '%s' of libibverbs, for which there is no /etc/libibverbs.d/%s.driver: "
		    "install ibverbs-providers (Debian, Ubuntu) or libibverbs (Red Hat, SUSE)",
		    port->device, parts[part].provider, parts[part].provider);
}

json_t *fm_rdma_missing(const struct fm_rdma_roots *roots, const struct fm_rdma *rdma, const struct fm_nics *nics)
{
	struct search search = {roots, json_array()};
	bool active = false;

	if (!search.list)
		return NULL;
	if (rdma->count == 0)
		devices_missing(&search, nics);
	for (uint32_t i = 0; i < rdma->count; i++) {
		const struct fm_rdma_port *port = &rdma->ports[i];

		active = active || port->active;
		/* Once a device: ports of one stand together. */
		if (i > 0 && strcmp(port->device, rdma->ports[i - 1].device) == 0)
			continue;
		device_file_missing(&search, port);
		provider_missing(&search, port);
	}
	if (rdma->count > 0 && !active)
		say(&search,
		    "no RDMA port is active: look at the cables, 'ip link' and, on InfiniBand, at the subnet manager");
	return search.list;
}
