#!/bin/sh
# Runs a command as root under another kernel: in a virtual machine that has this machine's files, changes in memory.
#
#   tests/old_kernel.sh [PACKAGE] COMMAND…    PACKAGE: of a Debian kernel; without it the newest linux-image-6.1.*-amd64
#
# For example the kernel's drops as Debian 12 reports them:
#
#   cargo build && cargo test -p eyepiece-tests --test datapath --no-run
#   tests/old_kernel.sh target/debug/deps/datapath-… --test-threads=1 kernel_drops   (the path that cargo printed)
#
# Needs the Debian packages qemu-system-x86, busybox-static, kmod and cpio. Not part of `make test`: it takes minutes,
# unless ACCELERATOR=kvm works. The exit code is the command's.
set -eu

package=
case ${1:-} in linux-image-*) package=$1 && shift ;; esac
[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit 2; }
[ -n "$package" ] || package=$(apt-cache search --names-only '^linux-image-6\.1\.[-0-9]*-amd64$' |
    cut -d ' ' -f 1 | sort -V | tail -n 1)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/eyepiece-kernels/$package

# Leaves $cache/tree, the kernel's package, and $cache/initramfs, with the modules it takes to see this machine's files.
prepare() {
    rm -rf "$cache" && mkdir -p "$cache/tree" "$cache/root/bin"
    (cd "$cache" && apt-get download "$package" && dpkg-deb -x "$package"_*.deb tree && rm ./*.deb)
    version=$(ls "$cache/tree/lib/modules")
    depmod -b "$cache/tree" "$version"
    modprobe -d "$cache/tree" -S "$version" -a --show-depends virtio_pci 9p 9pnet_virtio overlay |
        awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$cache/modules"
    xargs cp -t "$cache/root" < "$cache/modules"
    sed 's|.*/||' "$cache/modules" > "$cache/root/modules"
    cp /bin/busybox "$cache/root/bin/"
    cat > "$cache/root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /below /above /root
mount -t proc proc /proc
while read -r module; do insmod "/$module"; done < /modules
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose files /below
mount -t tmpfs above /above && mkdir /above/upper /above/work
mount -t overlay -o lowerdir=/below,upperdir=/above/upper,workdir=/above/work root /root
for place in proc:proc sysfs:sys devtmpfs:dev tmpfs:run; do
    mount -t "${place%:*}" "${place#*:}" "/root/${place#*:}"
done
mount -t bpf bpf /root/sys/fs/bpf
argument() { sed "s/.* $1=\([^ ]*\).*/\1/" /proc/cmdline; }
# The kernel asks for modules here, outside of the root below.
mkdir /lib && ln -s "/root$(argument tree)/lib/modules" /lib/modules && echo /bin/modprobe > /proc/sys/kernel/modprobe
chroot /root /bin/sh "$(argument job)"
echo "exit code: $?"
poweroff -f
INIT
    chmod +x "$cache/root/init"
    (cd "$cache/root" && find . | cpio --quiet -o -H newc | gzip) > "$cache/initramfs.new"
    mv "$cache/initramfs.new" "$cache/initramfs"
}

[ -e "$cache/initramfs" ] || prepare
job=$(mktemp) && output=$(mktemp)
trap 'rm -f "$job" "$output"' EXIT
{
    echo "ip link set lo up && cd '$PWD' && ulimit -n 65536"
    echo "export PATH='$PATH' HOME='$HOME' TEST_PATIENCE=20"
    for word in "$@"; do printf "'%s' " "$(printf %s "$word" | sed "s/'/'\\\\''/g")"; done
} > "$job"
qemu-system-x86_64 -accel "${ACCELERATOR:-tcg}" -cpu max,-arch-capabilities -smp 2 -m 4G -nodefaults -nographic -no-reboot -serial stdio \
    -kernel "$cache"/tree/boot/vmlinuz-* -initrd "$cache/initramfs" \
    -append "console=ttyS0 quiet panic=-1 tree=$cache/tree job=$job" \
    -virtfs local,path=/,mount_tag=files,security_model=none,readonly=on,multidevs=remap < /dev/null | tee "$output"
exit "$(sed -n 's/^exit code: \([0-9]*\).*/\1/p' "$output" | tail -n 1)"
