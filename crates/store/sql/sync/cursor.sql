SELECT read_up_to FROM sync_cursors WHERE network = $1
