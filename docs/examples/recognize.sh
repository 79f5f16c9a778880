#!/bin/sh
# TILLSIGHT_URL=http://127.0.0.1:8000 TILLSIGHT_KEY=tillsight_… recognize.sh photo.jpg
# Prints the answer; on an error the service's own words, and ends with status 22.
curl --silent --show-error --fail-with-body --max-time 30 \
    --header "Authorization: Bearer $TILLSIGHT_KEY" \
    --form "image=@$1" "$TILLSIGHT_URL/recognize"
