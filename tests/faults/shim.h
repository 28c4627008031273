/* Control of the shim that makes system calls fail: see shim.c. */
#ifndef FAULT_SHIM_H
#define FAULT_SHIM_H

enum { FAULT_ANY, FAULT_IOCTL, FAULT_OTHER };

/* Counts from 1 the calls that follow, those of `kind`, in all threads; the `nth` fails with `error`. 0: only count. */
void fault_arm(int kind, unsigned nth, int error);

/* Stops counting; returns how many calls there were. */
unsigned fault_disarm(void);

/* Name of the function that failed last, "" when none has. */
const char *fault_hit(void);

/* Mappings and timers that were made and not yet removed since the program began. */
long fault_mappings(void);
long fault_timers(void);

#endif
