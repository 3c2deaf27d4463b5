/* Hides instruction sets from every library of a process, and of those that it starts.
 *
 * Preloaded, it lets the instruction `cpuid` fault, answers it itself, and leaves out the bits that
 * HIDDEN_CPUID names: five hexadecimal masks, of leaf 7's ebx, ecx and edx, and of eax and edx of
 * its subleaf 1. So libraries that obey no setting, as ONNX Runtime, choose the kernels that they
 * would choose on a smaller CPU; all runs at full speed.
 *
 * A process whose CPU, kernel or masks don't allow it ends with 125 and a line that says why.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { FEATURES = 7, ASKED = 4096 };

/* Where `cpuid` was asked for features, for a report of who did. */
uintptr_t hide_cpuid_asked[ASKED];
volatile int hide_cpuid_count;

static uint32_t hidden[5];
static struct sigaction other; /* of whoever else wants to hear of SIGSEGV */

typedef int sigaction_function(int, const struct sigaction *, struct sigaction *);

static sigaction_function *real_sigaction(void) {
    return (sigaction_function *)dlsym(RTLD_NEXT, "sigaction");
}

static void refuse(const char *why) {
    fprintf(stderr, "hide_cpuid: %s\n", why);
    _exit(125);
}

static void answer(greg_t *registers) {
    uint32_t a = registers[REG_RAX], c = registers[REG_RCX], b, d;
    const uint32_t leaf = a, subleaf = c;
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    if (leaf == FEATURES) {
        const int place = __sync_fetch_and_add(&hide_cpuid_count, 1);
        if (place < ASKED) hide_cpuid_asked[place] = registers[REG_RIP];
        if (subleaf == 0) b &= ~hidden[0], c &= ~hidden[1], d &= ~hidden[2];
        if (subleaf == 1) a &= ~hidden[3], d &= ~hidden[4];
    }
    registers[REG_RAX] = a, registers[REG_RBX] = b;
    registers[REG_RCX] = c, registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

static void on_fault(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    /* The kernel sends a fault of the instruction itself, not of an address. */
    if (info->si_code == SI_KERNEL && !memcmp((void *)registers[REG_RIP], "\x0f\xa2", 2)) {
        answer(registers);
    } else if (other.sa_flags & SA_SIGINFO) {
        other.sa_sigaction(number, info, context);
    } else if (other.sa_handler == SIG_DFL || other.sa_handler == SIG_IGN) {
        signal(number, SIG_DFL); /* the fault comes again, and ends the process */
    } else {
        other.sa_handler(number);
    }
}

/* In place of the C library's: pytest and others ask for SIGSEGV, which stays ours. */
int sigaction(int number, const struct sigaction *wanted, struct sigaction *before) {
    if (number != SIGSEGV) return real_sigaction()(number, wanted, before);
    const struct sigaction old = other;
    if (wanted) other = *wanted;
    if (before) *before = old;
    return 0;
}

__attribute__((constructor)) static void start(void) {
    const char *masks = getenv("HIDDEN_CPUID");
    uint32_t *h = hidden;
    if (!masks || sscanf(masks, "%x,%x,%x,%x,%x", h, h + 1, h + 2, h + 3, h + 4) != 5)
        refuse("expected five masks in HIDDEN_CPUID");
    struct sigaction ours = {.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    ours.sa_sigaction = on_fault;
    if (real_sigaction()(SIGSEGV, &ours, NULL)) refuse("can't handle SIGSEGV");
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0))
        refuse("this CPU or kernel can't let cpuid fault");
}
