# The provider xen keeps the contract of ring/hv/hv.h: the suite that the other providers pass too, with dom0 at both ends.
# limit: 60 s
. /cases/functions.sh
out=$(CMOCKA_MESSAGE_OUTPUT=stdout timeout 50 hv_xen 2>&1)
rc=$?
echo "$out" | grep -vE '^\[ (RUN|      OK)'
echo "OBS conform: $(echo "$out" | grep -c '^\[       OK \]') tests of the provider passed"
[ $rc = 0 ] || fail "hv_xen ended with $rc"

