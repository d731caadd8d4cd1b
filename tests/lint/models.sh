#!/bin/bash
# Each inline of a model that is not the model's own (m_...) is named like a function of the source, so that neither moves alone.
cd "$(dirname "$0")/../.." || exit 1
rc=0
while IFS=: read -r file name; do
	grep -rqE --include='*.[ch]' "\b$name\(" ring recovery backend frontend xenstore-glue && continue
	echo "$file: $name() is no function of the source any more"
	rc=1
done < <(grep -oE '^inline [a-z][a-z0-9_]*' tests/model/*.pml | sed 's/inline //' | grep -v ':m_')
exit $rc
