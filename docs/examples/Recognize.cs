// TILLSIGHT_URL=http://127.0.0.1:8000 TILLSIGHT_KEY=tillsight_… dotnet run photo.jpg   (.NET 8)
using System.Net.Http.Headers;
using System.Text.Json;

using var http = new HttpClient
{
    BaseAddress = new Uri(Environment.GetEnvironmentVariable("TILLSIGHT_URL")!),
    Timeout = TimeSpan.FromSeconds(30),
};
http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(
    "Bearer", Environment.GetEnvironmentVariable("TILLSIGHT_KEY"));

using var form = new MultipartFormDataContent();
form.Add(new ByteArrayContent(await File.ReadAllBytesAsync(args[0])), "image", "photo.jpg");
using var response = await http.PostAsync("/recognize", form);
using var document = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
var answer = document.RootElement;
if (!response.IsSuccessStatusCode)
{
    Console.Error.WriteLine($"{answer.GetProperty("code")}: {answer.GetProperty("detail")}");
    return 1;
}
foreach (var result in answer.GetProperty("results").EnumerateArray())
{
    var product = result.GetProperty("product");
    var name = product.ValueKind == JsonValueKind.Null ? "-" : product.GetProperty("name").GetString();
    Console.WriteLine($"{result.GetProperty("outcome")} {name} {result.GetProperty("score")}");
}
return 0;
