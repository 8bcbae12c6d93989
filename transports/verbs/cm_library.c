/*
 * cm_library.c - librdmacm, loaded when a queue pair is to be connected by it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

#include "transports/verbs/cm.h"

static int kernel_check(struct fm_error *error)
{
	if (access(FM_VERBS_CM_DEVICE, R_OK | W_OK) == 0)
		return 0;
	if (errno == ENOENT)
		return fm_error_set(error, -ENOENT, FM_REASON_ENVIRONMENT,
				    "rdma_cm needs " FM_VERBS_CM_DEVICE
				    ", which is not here: 'modprobe rdma_ucm' on the host; a "
				    "container must be given it (--device /dev/infiniband, or a device plug-in)");
	return fm_error_set(error, -EACCES, FM_REASON_ENVIRONMENT,
			    "rdma_cm needs " FM_VERBS_CM_DEVICE
			    ", which this user may not read and write: 'chmod a+rw " FM_VERBS_CM_DEVICE
			    "' as root, or the udev rules of the package rdma-core");
}

int fm_verbs_cm_load(struct fm_verbs_cm_calls *calls, struct fm_error *error)
{
	struct fm_verbs_cm_calls found = {0};
	/* It keeps devices open and threads' state of its own, so it stays, as modules do. */
	void *library = dlopen("librdmacm.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	const char *missing = NULL;

	if (!library)
		return fm_error_set(error, -ENOSYS, FM_REASON_ENVIRONMENT,
				    "rdma_cm needs librdmacm.so.1, which cannot be loaded: %s; install the package "
				    "librdmacm1 (Debian, Ubuntu) or librdmacm (Red Hat, SUSE)",
				    dlerror());
		/* POSIX lets a function's address be had this way; a cast of the pointer's value C forbids. */
#define FIND(name)                                                                                                     \
	*(void **)(void *)&found.name = dlsym(library, "rdma_" #name);                                                 \
	if (!found.name)                                                                                               \
		missing = "rdma_" #name;
	FM_VERBS_CM_CALLS(FIND)
#undef FIND
	dlclose(library);
	if (missing)
		return fm_error_set(error, -ENOSYS, FM_REASON_ENVIRONMENT,
				    "this librdmacm.so.1 has no %s: install that of rdma-core 23 or later", missing);
	*calls = found;
	return kernel_check(error);
}
