/* Functions that have a safer twin here; using one is a compile error. Force-included in every
 * file. */
#pragma once
#ifndef __cplusplus
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol gmtime localtime system popen rand srand
#endif
