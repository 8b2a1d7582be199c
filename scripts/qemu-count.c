/* A plugin for qemu-user that counts the instructions of all threads. Declared here is what of qemu-plugin.h is used: Debian
 * ships no header of it. Interface version 1 (QEMU 4.2 to 7.2, as in Debian 12); newer ones say what they want. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
typedef void (*translated)(plugin_id id, struct qemu_plugin_tb *tb);
typedef void (*executed)(unsigned int vcpu, void *data);
typedef void (*at_exit)(plugin_id id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, translated callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, executed callback, int flags, void *data);
void qemu_plugin_register_atexit_cb(plugin_id id, at_exit callback, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);

EXPORT int qemu_plugin_version = 1;

static uint64_t count;

static void run(unsigned int vcpu, void *data) {
  (void)vcpu;
  __atomic_fetch_add(&count, (uint64_t)(uintptr_t)data, __ATOMIC_RELAXED);
}

static void translate(plugin_id id, struct qemu_plugin_tb *tb) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, run, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}

static void finish(plugin_id id, void *data) {
  (void)id;
  (void)data;
  fprintf(stderr, "instructions: %" PRIu64 "\n", count);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  (void)info;
  (void)argc;
  (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  qemu_plugin_register_atexit_cb(id, finish, NULL);
  return 0;
}
