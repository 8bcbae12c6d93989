/*
 * knock.c - knock ADDRESS PORT [TEXT]: asks for an rdma_cm connection as somebody who does not belong there, with TEXT
 * for private data. Prints what came of it. Exit status: 0 refused, 1 anything else, 2 usage.
 */
#include <arpa/inet.h>
#include <rdma/rdma_cma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESOLVE_MS = 5000, QUEUE_PAIR = 0x4242 /* there is none: it is never come to that */ };

/* 0 when the event came that was waited for; else what came is told. */
static int await(struct rdma_event_channel *channel, enum rdma_cm_event_type wanted)
{
	struct rdma_cm_event *event;
	enum rdma_cm_event_type type;

	if (rdma_get_cm_event(channel, &event)) {
		perror("rdma_get_cm_event");
		return 1;
	}
	type = event->event;
	if (type != wanted || type == RDMA_CM_EVENT_REJECTED)
		printf("%s, status %d\n", rdma_event_str(type), event->status);
	rdma_ack_cm_event(event);
	return type != wanted;
}

static int knock(struct rdma_event_channel *channel, struct rdma_cm_id *id, struct sockaddr_in *peer, const char *text)
{
	struct rdma_conn_param parameters = {
		.private_data = text,
		.private_data_len = (uint8_t)strlen(text),
		.responder_resources = 1,
		.initiator_depth = 1,
		.qp_num = QUEUE_PAIR,
	};

	if (rdma_resolve_addr(id, NULL, (struct sockaddr *)peer, RESOLVE_MS) ||
	    await(channel, RDMA_CM_EVENT_ADDR_RESOLVED) || rdma_resolve_route(id, RESOLVE_MS) ||
	    await(channel, RDMA_CM_EVENT_ROUTE_RESOLVED) || rdma_connect(id, &parameters))
		return 1;
	return await(channel, RDMA_CM_EVENT_REJECTED);
}

int main(int argc, char **argv)
{
	struct sockaddr_in peer = {.sin_family = AF_INET};
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id;
	int code;

	if (argc < 3 || inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1) {
		fprintf(stderr, "use: knock ADDRESS PORT [TEXT]\n");
		return 2;
	}
	peer.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	channel = rdma_create_event_channel();
	if (!channel || rdma_create_id(channel, &id, NULL, RDMA_PS_TCP)) {
		perror("rdma_cm");
		return 1;
	}
	code = knock(channel, id, &peer, argc > 3 ? argv[3] : "");
	rdma_destroy_id(id);
	rdma_destroy_event_channel(channel);
	return code;
}
