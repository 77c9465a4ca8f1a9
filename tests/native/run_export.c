/* Run an export with TensorFlow's C API, as any program without Python would.
 *
 *     run_export MODEL_FOLDER IMAGE_FILE INPUT OUTPUT...
 *
 * OUTPUT...: the tensors of num_detections, boxes, scores, p_malignant, error and
 * mask_png_bytes, in this order. Prints a line for each but the last, and
 * writes the first detection's mask to mask.png. The batch is this one image.
 */
#include <stdio.h>
#include <stdlib.h>
#include <tensorflow/c/c_api.h>

#define OUTPUTS 6

static TF_Status *status;

static void check(const char *what) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "%s: %s\n", what, TF_Message(status));
  exit(1);
}

static TF_Tensor *read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) exit(2);
  fseek(file, 0, SEEK_END);
  size_t size = ftell(file);
  rewind(file);
  char *bytes = malloc(size);
  if (fread(bytes, 1, size, file) != size) exit(2);
  fclose(file);
  const int64_t one = 1;
  TF_Tensor *tensor = TF_AllocateTensor(TF_STRING, &one, 1, sizeof(TF_TString));
  TF_TString *string = TF_TensorData(tensor);
  TF_StringInit(string);
  TF_StringCopy(string, bytes, size);
  free(bytes);
  return tensor;
}

static void print_floats(const char *name, const TF_Tensor *tensor) {
  printf("%s", name);
  for (int64_t i = 0; i < TF_TensorElementCount(tensor); i++)
    printf(" %.9g", ((float *)TF_TensorData(tensor))[i]);
  printf("\n");
}

int main(int argc, char **argv) {
  if (argc != 3 + OUTPUTS + 1) {
    fprintf(stderr, "usage: MODEL IMAGE INPUT, then the names of %d outputs\n", OUTPUTS);
    return 2;
  }
  status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  const char *tag = "serve";
  TF_Session *session = TF_LoadSessionFromSavedModel(
      TF_NewSessionOptions(), NULL, argv[1], &tag, 1, graph, NULL, status);
  check("load");
  /* Names as saved_model_cli shows them: OPERATION and, of outputs, :INDEX */
  TF_Output input = {TF_GraphOperationByName(graph, argv[3]), 0}, outputs[OUTPUTS];
  for (int i = 0; i < OUTPUTS; i++) {
    char name[256];
    int index = 0;
    sscanf(argv[4 + i], "%255[^:]:%d", name, &index);
    outputs[i] = (TF_Output){TF_GraphOperationByName(graph, name), index};
  }
  TF_Tensor *image = read_file(argv[2]), *values[OUTPUTS];
  TF_SessionRun(session, NULL, &input, &image, 1, outputs, values, OUTPUTS, NULL, 0,
                NULL, status);
  check("run");
  printf("num_detections %d\n", *(int32_t *)TF_TensorData(values[0]));
  print_floats("boxes", values[1]);
  print_floats("scores", values[2]);
  print_floats("p_malignant", values[3]);
  printf("error %s\n", TF_StringGetDataPointer(TF_TensorData(values[4])));
  const TF_TString *png = TF_TensorData(values[5]);
  FILE *file = fopen("mask.png", "wb");
  fwrite(TF_StringGetDataPointer(png), 1, TF_StringGetSize(png), file);
  fclose(file);
  return 0;
}
