/*
 * mock_devices.c - devices as they answer: limits from the drivers of the Linux kernel and the providers of rdma-core,
 * rounded to what a test can fill.
 */
#include "tests/support/mock_verbs.h"

/* What most of them have in common. */
static struct mock_device device_of(const char *name, uint8_t link_layer)
{
	return (struct mock_device){
		.name = name,
		.attributes = {.fw_ver = "1.2.3",
			       .max_qp_wr = 512,
			       .max_cqe = 65536,
			       .max_qp_rd_atom = 16,
			       .max_qp_init_rd_atom = 16,
			       .atomic_cap = IBV_ATOMIC_HCA,
			       .phys_port_cnt = 1},
		.port = {.state = IBV_PORT_ACTIVE,
			 .active_mtu = IBV_MTU_4096,
			 .max_mtu = IBV_MTU_4096,
			 .max_msg_sz = 1u << 30,
			 .pkey_tbl_len = MOCK_PKEYS_MAX,
			 .link_layer = link_layer},
		.pkeys = {0xffff},
		.inline_max = 512,
		.in_order = 0,
		.vectors = 4,
	};
}

struct mock_device mock_mlx5_infiniband(const char *name)
{
	struct mock_device device = device_of(name, IBV_LINK_LAYER_INFINIBAND);

	device.attributes.vendor_id = 0x02c9;
	device.port.lid = 7;
	device.inline_max = 1000;
	device.extended = device.thread_domains = true;
	device.in_order = 1;
	return device;
}

struct mock_device mock_mlx5_roce(const char *name)
{
	struct mock_device device = mock_mlx5_infiniband(name);

	device.port.lid = 0;
	device.port.link_layer = IBV_LINK_LAYER_ETHERNET;
	return device;
}

struct mock_device mock_efa(const char *name)
{
	struct mock_device device = device_of(name, IBV_LINK_LAYER_UNSPECIFIED);

	device.attributes.vendor_id = 0x1d0f;
	device.attributes.max_qp_rd_atom = device.attributes.max_qp_init_rd_atom = 0;
	device.attributes.atomic_cap = IBV_ATOMIC_NONE;
	device.port.max_msg_sz = 8928;
	device.port.pkey_tbl_len = 1;
	device.inline_max = 32;
	device.extended = true;
	device.efa = (struct mock_efa){.present = true,
				       .reads = true,
				       .writes = true,
				       .rnr_retry = true,
				       .rdma_max = 1u << 30,
				       .inline_max = 32};
	return device;
}

struct mock_device mock_irdma(const char *name)
{
	struct mock_device device = device_of(name, IBV_LINK_LAYER_ETHERNET);

	device.attributes.vendor_id = 0x8086;
	device.attributes.atomic_cap = IBV_ATOMIC_NONE;
	device.attributes.max_qp_rd_atom = 64;
	device.attributes.max_qp_init_rd_atom = 4;
	device.inline_max = 101;
	device.in_order = -1;
	return device;
}

struct mock_device mock_bnxt(const char *name)
{
	struct mock_device device = device_of(name, IBV_LINK_LAYER_ETHERNET);

	device.attributes.vendor_id = 0x14e4;
	device.attributes.max_qp_rd_atom = device.attributes.max_qp_init_rd_atom = 126;
	device.port.active_mtu = IBV_MTU_1024;
	device.inline_max = 96;
	device.in_order = -1;
	return device;
}
