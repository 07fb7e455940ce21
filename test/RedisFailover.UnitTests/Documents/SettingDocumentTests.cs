using System.Text.Json;
using NUnit.Framework;
using RedisFailover.Monitor.Options;

namespace RedisFailover.UnitTests.Documents;

/// <summary>UPDATE_DOCUMENTS=1 writes the generated parts anew.</summary>
[TestFixture]
public sealed class SettingDocumentTests
{
    private static readonly bool Updates = Environment.GetEnvironmentVariable("UPDATE_DOCUMENTS") == "1";

    [TestCase("table")]
    [TestCase("descriptions")]
    public void The_document_of_the_settings_is_that_of_the_table_in_the_code(string part)
    {
        string path = Path.Combine(Document.Root, "docs", "configuration.md");
        string text = File.ReadAllText(path);
        (string begin, string end) = ($"<!-- {part}: begin -->\n", $"<!-- {part}: end -->");
        int from = text.IndexOf(begin, StringComparison.Ordinal) + begin.Length;
        int to = text.IndexOf(end, StringComparison.Ordinal);
        string expected = part == "table" ? SettingDocuments.Table() : SettingDocuments.Descriptions();
        if (Updates)
        {
            File.WriteAllText(path, text[..from] + expected + text[to..]);
        }

        Assert.That(Updates ? expected : text[from..to], Is.EqualTo(expected));
    }

    [Test]
    public void The_schema_is_that_of_the_table_in_the_code()
    {
        string path = Path.Combine(Document.Root, "config", "monitor.schema.json");
        if (Updates)
        {
            File.WriteAllText(path, SettingDocuments.Schema());
        }

        Assert.That(File.ReadAllText(path), Is.EqualTo(SettingDocuments.Schema()));
    }

    [Test]
    public void The_example_names_every_setting_with_its_default()
    {
        string text = File.ReadAllText(Path.Combine(Document.Root, "config", "monitor.json"));
        using JsonDocument example =
            JsonDocument.Parse(text, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        var wrong = from setting in Settings.All
                    where setting.Name != "password"
                    let given = example.RootElement.TryGetProperty(setting.Name, out JsonElement value) ? value.ToString() : null
                    where !text.Contains($"\"{setting.Name}\":", StringComparison.Ordinal)
                        || (setting.Default is not null && given is not null && given != setting.Default)
                    select $"{setting.Name} is {given ?? "missing"}, the default is {setting.Default}";

        Assert.That(wrong, Is.Empty);
    }

    [Test]
    public void Each_default_is_one_that_is_allowed_and_each_setting_is_described()
    {
        foreach (Setting setting in Settings.All)
        {
            Assert.That(setting.Description, Is.Not.Empty, setting.Name);
            Assert.That(setting.Default is null
                || setting.Apply(MonitorOptions.Nothing, new GivenOption(setting.Name, setting.Default, "test")) is not null);
        }
    }
}
