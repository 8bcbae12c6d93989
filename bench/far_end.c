/*
 * far_end.c - starts the far end on this machine, over ssh or not at all.
 */
#include "bench/far_end.h"

static int start_ssh(const struct fm_pair_where *where, int interrupt_fd, const struct fm_token *token,
		     struct fm_far_end *far, struct fm_error *error)
{
	const struct fm_remote_way way = {where->ssh_command, where->remote_program, where->connect_timeout_s,
					  interrupt_fd};
	int code = fm_remote_host(where->ssh, &way, &far->host, error);

	far->address = far->host.address;
	if (code == 0)
		code = fm_remote_serve(far->host.name, &way, where->port, token, &far->remote, &far->port, error);
	return code;
}

int fm_far_end_start(const struct fm_pair_where *where, const char *host, int interrupt_fd, struct fm_token *token,
		     struct fm_far_end *far, struct fm_error *error)
{
	int code;

	far->address = where->local ? "127.0.0.1" : host;
	far->port = (uint16_t)where->port;
	if (!where->local && !where->ssh[0])
		return fm_token_find(where->token_file[0] ? where->token_file : NULL, false, token, error);
	code = fm_token_random(token, error);
	if (code == 0 && where->ssh[0])
		return start_ssh(where, interrupt_fd, token, far, error);
	if (code == 0)
		code = fm_local_start(token, &far->local, error);
	if (code == 0)
		far->port = far->local.port;
	return code;
}

void fm_far_end_stop(struct fm_far_end *far, bool now)
{
	fm_local_stop(&far->local, now);
	fm_remote_stop(&far->remote, false);
}
