# module.cmake - what a loadable transport is built with and against, inside this tree and outside.
include(GNUInstallDirs)

# The headers that transport.h needs, as they are installed: all in one folder, and including each other from there, so
# that <fabmark/transport.h> is all that an author types and no folder called common/ gets into the include path.
set(FABMARK_HEADERS common/blob.h common/buffer.h common/error.h common/options.h topology/place.h transports/test.h
	transports/transport.h)
foreach(header IN LISTS FABMARK_HEADERS)
	cmake_path(GET header FILENAME name)
	file(READ ${PROJECT_SOURCE_DIR}/${header} text)
	string(REGEX REPLACE "#include \"[a-z]+/([a-z]+\\.h)\"" "#include \"\\1\"" text "${text}")
	file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/include/fabmark/${name} CONTENT "${text}" @ONLY)
	set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${header})
endforeach()
install(DIRECTORY ${PROJECT_BINARY_DIR}/include/fabmark DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# pkg-config --cflags fabmark-transport; --variable=moduledir: where the program looks without being told.
file(RELATIVE_PATH prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/fabmark-transport.pc @ONLY CONTENT [[prefix=${pcfiledir}/@prefix@
includedir=${prefix}/@CMAKE_INSTALL_INCLUDEDIR@
moduledir=${prefix}/@CMAKE_INSTALL_LIBDIR@/fabmark

Name: fabmark-transport
Description: headers of loadable transports for fabmark
Version: @PROJECT_VERSION@
Cflags: -I${includedir}
]])
install(FILES ${PROJECT_BINARY_DIR}/fabmark-transport.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/docs/writing-a-transport.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${PROJECT_SOURCE_DIR}/tests/module/unix.c DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

# fm_module(NAME SOURCE...): NAME.so. It links no library of this tree, so that what it lacks is found by the linker.
function(fm_module name)
	add_library(${name} MODULE ${ARGN})
	target_link_libraries(${name} PRIVATE fm_flags)
	# What the sanitizers need comes from the program that loads it.
	if(NOT FABMARK_SANITIZE)
		target_link_options(${name} PRIVATE -Wl,-z,defs)
	endif()
	set_target_properties(${name} PROPERTIES PREFIX "")
endfunction()

# fm_backend_module(NAME SOURCE...): the module of a row of registry.c, where program and package look for it.
function(fm_backend_module name)
	fm_module(${name} ${ARGN})
	set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/modules)
	install(TARGETS ${name} DESTINATION ${CMAKE_INSTALL_LIBDIR}/fabmark)
endfunction()
