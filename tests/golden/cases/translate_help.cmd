"$FABMARK" translate --help
