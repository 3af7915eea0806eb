/* Tile instructions on a processor that has none, for tests.

   Such a processor raises SIGILL at each.  The handler here reads the instruction that
   stands there, does what Intel's manual (Software Developer's Manual, volume 2) says
   it does, on registers kept for each thread, and goes on behind it.  So the machine
   code of the kernels runs as it is.  Anything else that is illegal ends the process.

   Products are fused, by the processor's own rounding with denormal numbers as zero
   (MXCSR's DAZ and FTZ), which is how the manual describes TDPBF16PS. */

#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <xmmintrin.h>

enum { CONFIGURE, RELEASE, ZERO, LOAD, STORE, DOT, KINDS };

static long counts[KINDS]; /* how often each instruction was met */
static long configured;    /* threads that have taken tiles, and not given them back */

static __thread struct {
    int palette;
    int bytes[8], rows[8];
    uint8_t tile[8][16][64];
} state;

static void fail(const char *why) {
    ssize_t ignored = write(2, why, strlen(why));
    (void)ignored;
    _exit(99);
}

static long long reg(ucontext_t *context, int number) {
    static const int order[16] = {
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
        REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return context->uc_mcontext.gregs[order[number]];
}

static void configure(const uint8_t *from) {
    if (from[0] != 1 || from[1]) fail("ldtilecfg: expected palette 1, from its first row\n");
    if (!state.palette) __atomic_add_fetch(&configured, 1, __ATOMIC_RELAXED);
    memset(&state, 0, sizeof state);
    state.palette = 1;
    for (int t = 0; t < 8; t++) {
        state.bytes[t] = from[16 + 2 * t] | from[17 + 2 * t] << 8;
        state.rows[t] = from[48 + t];
        if (state.bytes[t] > 64 || state.rows[t] > 16) fail("ldtilecfg: a tile is too large\n");
    }
}

static void release(void) {
    if (state.palette) __atomic_sub_fetch(&configured, 1, __ATOMIC_RELAXED);
    memset(&state, 0, sizeof state);
}

static float widened(uint16_t number) {
    uint32_t bits = (uint32_t)number << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

__attribute__((noinline)) static void dot(int c, int a, int b) {
    if (state.rows[b] != state.bytes[a] / 4 || state.rows[c] != state.rows[a] ||
        state.bytes[c] != state.bytes[b])
        fail("tdpbf16ps: shapes do not fit\n");
    for (int m = 0; m < state.rows[c]; m++) {
        float even[16] = {0}, odd[16] = {0};
        const uint16_t *left = (uint16_t *)state.tile[a][m];
        float *sums = (float *)state.tile[c][m];
        for (int k = 0; k < state.bytes[a] / 4; k++) {
            const uint16_t *right = (uint16_t *)state.tile[b][k];
            for (int n = 0; n < state.bytes[c] / 4; n++) {
                even[n] = fmaf(widened(left[2 * k]), widened(right[2 * n]), even[n]);
                odd[n] = fmaf(widened(left[2 * k + 1]), widened(right[2 * n + 1]), odd[n]);
            }
        }
        for (int n = 0; n < state.bytes[c] / 4; n++) sums[n] += even[n] + odd[n];
    }
}

static void on_illegal(int number, siginfo_t *info, void *given) {
    (void)info;
    ucontext_t *context = given;
    const uint8_t *code = (uint8_t *)context->uc_mcontext.gregs[REG_RIP], *at = code;
    if (at[0] != 0xC4 || (at[1] & 0x1F) != 2 || at[2] & 0x84 ||
        (at[3] != 0x49 && at[3] != 0x4B && at[3] != 0x5C)) {
        signal(number, SIG_DFL); /* and the instruction is met again */
        return;
    }
    int r_high = ~at[1] >> 4 & 8, x_high = ~at[1] >> 3 & 8, b_high = ~at[1] >> 2 & 8;
    int v = ~(at[2] >> 3) & 15, prefix = at[2] & 3, opcode = at[3], modrm = at[4];
    int mode = modrm >> 6, middle = modrm >> 3 & 7, low = modrm & 7;
    uint8_t *place = 0;
    long long step = 0;
    at += 5;
    if (mode != 3) {
        long long base = 0;
        int from_here = 0;
        if (low == 4) {
            int sib = *at++, index = (sib >> 3 & 7) | x_high, from = sib & 7;
            if (index != 4) step = reg(context, index) << (sib >> 6);
            if (from != 5 || mode) base = reg(context, from | b_high);
            else mode = 2;
        } else if (low == 5 && !mode) {
            from_here = 1;
            mode = 2;
        } else {
            base = reg(context, low | b_high);
        }
        if (mode == 1) base += *(int8_t *)at++;
        if (mode == 2) {
            int32_t offset;
            memcpy(&offset, at, 4);
            base += offset;
            at += 4;
        }
        if (from_here) base += (long long)at;
        place = (uint8_t *)base;
    }
    if (r_high || (place == 0 && b_high)) fail("tile: there are eight\n");
    int met = -1;
    if (opcode == 0x49 && prefix == 0) met = place ? CONFIGURE : RELEASE;
    if (opcode == 0x49 && prefix == 3 && !place) met = ZERO;
    if (opcode == 0x4B && prefix == 3 && place && low == 4) met = LOAD;
    if (opcode == 0x4B && prefix == 2 && place && low == 4) met = STORE;
    if (opcode == 0x5C && prefix == 2 && !place) met = DOT;
    if (met < 0 || (met != DOT && v)) fail("tile: an instruction that is not known here\n");
    if (met != CONFIGURE && met != RELEASE && !state.palette)
        fail("tile: used before it was configured\n");
    __atomic_add_fetch(&counts[met], 1, __ATOMIC_RELAXED);
    unsigned before = _mm_getcsr();
    switch (met) {
    case CONFIGURE: configure(place); break;
    case RELEASE: release(); break;
    case ZERO: memset(state.tile[middle], 0, sizeof state.tile[middle]); break;
    case LOAD:
        memset(state.tile[middle], 0, sizeof state.tile[middle]);
        for (int i = 0; i < state.rows[middle]; i++)
            memcpy(state.tile[middle][i], place + i * step, state.bytes[middle]);
        break;
    case STORE:
        for (int i = 0; i < state.rows[middle]; i++)
            memcpy(place + i * step, state.tile[middle][i], state.bytes[middle]);
        break;
    case DOT:
        if (middle == low || middle == v || low == v) fail("tdpbf16ps: a tile twice\n");
        _mm_setcsr(0x1F80 | 0x8040); /* nearest even, no exceptions, DAZ and FTZ */
        dot(middle, low, v);
        _mm_setcsr(before);
    }
    context->uc_mcontext.gregs[REG_RIP] += at - code;
}

/* Emulate tile instructions from now on; returns 0 on success. */
int tiles_trap(void) {
    struct sigaction action = {0};
    action.sa_sigaction = on_illegal;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    return sigaction(SIGILL, &action, 0);
}

/* Write how often each instruction was met, and how many threads hold tiles. */
void tiles_met(long *result) {
    memcpy(result, counts, sizeof counts);
    result[KINDS] = configured;
}
