# bulkheadd in a driver domain serves vifs, too (backend=NAME), in place of xl devd: no script runs there, so bulkhead-vif does what the one
# named in the vif would. Files with checksums while the stub is killed; attached, detached, destroyed.
# limit: 200 s
. /cases/functions.sh
. /cases/driver_functions.sh
export RAMDISK=/boot/net.img MEM=256
START='ip link add br0 type bridge; ip link set br0 up; ip addr add 10.9.0.1/24 dev br0
mkdir /srv/www; dd if=/dev/urandom of=/srv/www/file bs=1M count=4 2>/dev/null; httpd -h /srv/www'
pack llc stp bridge tun
RAMDISK=/srv/stub.img config stub none 0 'driver_domain=1'
driver_domain
config a net 0 'vif=["backend=stub,bridge=br0,mac=00:16:3e:00:00:01"]'
timed "create, the vif's backend in a driver domain" 0 xl create /srv/a.cfg
wait_for 60 "a is up" says a "GUEST UP"
id=$(xl domid a)
up='ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up; until ping -c1 -W1 10.9.0.1 >/dev/null; do :; done'
ask a "$up" 40
ask stub "[ -e /sys/class/net/br0/brif/vif$id.0 ]"
ask stub "echo SU''M \$(md5sum </srv/www/file)"
sum=$(console stub | sed -n 's/^SUM \([0-9a-f]*\).*/\1/p')
[ ${#sum} = 32 ] || fail "the file's checksum is '$sum'"
ask stub "(for i in 1 2 3 4 5 6 7 8 9 10; do usleep 500000; bulkhead kill $id vif0; done) &"
for _ in 1 2 3 4; do ask a "wget -q -O /tmp/file http://10.9.0.1/file && md5sum </tmp/file | grep $sum" 120; done
ask stub "until bulkhead status --json | grep -qE '\"restarts\": ?([89]|10),'; do usleep 300000; done; bulkhead status" 40
timed "network-detach" 0 xl network-detach a 0
ask stub "[ ! -e /sys/class/net/vif$id.0 ]"
timed "network-attach" 0 xl network-attach a backend=stub bridge=br0 vifname=web
ask a "$up" 40
ask stub '[ -e /sys/class/net/br0/brif/web ]'
t=$(uptime_s)
xl network-attach a backend=stub bridge=none && fail "attached to a bridge that is not there"
echo "OBS network-attach to a bridge that is not there: $(echo "$(uptime_s) $t" | awk '{ printf "%.1f", $1 - $2 }') s"
timed "destroy" 0 xl destroy a
wait_for 10 "the nodes are gone" not xenstore-exists "/local/domain/$s/backend/vif/$id"
ask stub 'usleep 500000; [ ! -e /sys/class/net/web ] && ! grep -lx bulkhead-net /proc/[0-9]*/comm && ! ls /run/bulkhead/net | grep "vif[0-9]"'
timed "destroy the driver domain" 0 xl destroy stub
