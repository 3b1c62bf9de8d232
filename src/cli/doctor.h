/* src/cli/doctor.h */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli/command.h"

/* doctor: what this machine and this app lack, and what to do about it. */
extern const struct command doctor_command;

#endif
