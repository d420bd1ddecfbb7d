# A copy of the working tree without what was built: copy_tree FOLDER.
copy_tree() {
	mkdir -p "$1"
	tar -C "$BATS_TEST_DIRNAME/../.." --exclude=./build --exclude=./.git -c . | tar -C "$1" -x
}
