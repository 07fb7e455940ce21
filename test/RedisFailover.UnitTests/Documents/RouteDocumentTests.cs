using System.Text.Json;
using NUnit.Framework;
using RedisFailover.Monitor.Http;

namespace RedisFailover.UnitTests.Documents;

/// <summary>What a monitor answers by HTTP stands in the document for people and in the one for programs.</summary>
[TestFixture]
public sealed class RouteDocumentTests
{
    private static readonly IReadOnlyList<Route> Routes = new Routes(null!, TimeProvider.System).All;

    [Test]
    public void Every_path_stands_in_the_document()
    {
        string document = string.Join('\n', Document.Read(Path.Combine("docs", "operations.md")).Lines);
        Assert.That(
            Routes.Select(route => route.Path.Replace("{name}", "NAME").Replace("{node}", "HOST:PORT"))
                .Where(path => !document.Contains($"`{path}`", StringComparison.Ordinal)),
            Is.Empty);
    }

    [Test]
    public void Every_path_is_described_for_programs()
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            OpenApi.Write(writer, Routes);
        }

        using JsonDocument description = JsonDocument.Parse(buffer.ToArray());
        JsonElement paths = description.RootElement.GetProperty("paths");
        JsonElement replica = paths.GetProperty("/clusters/{name}/nodes/{node}/replica").GetProperty("get");
        Assert.Multiple(() =>
        {
            Assert.That(paths.EnumerateObject().Select(path => path.Name), Is.EqualTo(Routes.Select(route => route.Path)));
            Assert.That(
                replica.GetProperty("parameters").EnumerateArray().Select(parameter => parameter.GetProperty("name").GetString()),
                Is.EqualTo(new[] { "name", "node", "max-lag" }));
            Assert.That(
                replica.GetProperty("responses").EnumerateObject().Select(response => response.Name),
                Is.EqualTo(new[] { "200", "400", "404", "503" }));
        });
    }
}
