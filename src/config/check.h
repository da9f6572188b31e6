/*
 * What must hold between settings, once each is right by itself.
 */
#ifndef EA_CONFIG_CHECK_H
#define EA_CONFIG_CHECK_H

#include "config/config.h"

/*
 * EA_CONFIG names the settings that contradict each other. Where a default contradicts what somebody chose,
 * the default gives way (with a warning). `in_cluster`: a Kubernetes API is at hand.
 */
enum err config_check(struct config *config, const struct config_io *io, bool in_cluster,
                      struct error *error) EA_MUST_CHECK;

#endif
