using System.Collections;
using System.Collections.Immutable;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace RedisFailover.Monitor.Options;

/// <summary>
/// The settings by name, and the three places they may come from: the command line wins over the environment, which wins over the
/// file. A name is the same everywhere: <c>--max-failures</c>, <c>REDIS_FAILOVER_MAX_FAILURES</c>, <c>"max-failures"</c>.
/// </summary>
internal static partial class OptionSources
{
    private const string Prefix = "REDIS_FAILOVER_";

    /// <summary>Variables of that prefix that are no settings: where redis-failover finds ZooKeeper, and the fault point.</summary>
    private static readonly string[] Others = [Prefix + "ZK", Prefix + "USER", ConfigVariable, Hosting.FaultPoint.Variable];

    /// <summary>How a file is read: with comments and trailing commas.</summary>
    internal static readonly JsonDocumentOptions Relaxed = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    private const string Config = "config";

    private const string ConfigVariable = Prefix + "CONFIG";

    /// <summary>Reads all three; null when the command line asked for help or the version, which has been printed then.</summary>
    /// <exception cref="OptionException">A setting is unknown or wrong.</exception>
    internal static MonitorOptions? Read(string[] arguments, IDictionary environment, out bool passwordInProcessList)
    {
        passwordInProcessList = false;
        var root = new RootCommand("Watches Redis nodes, elects a leader through ZooKeeper and replaces a master that is lost.");
        List<Option<string>> options = [];
        foreach (Setting setting in Settings.All)
        {
            options.Add(new Option<string>("--" + setting.Name)
            {
                Description = Help(setting),
                HelpName = setting.ValueName,
                Arity = setting.ValueName == "on|off" ? ArgumentArity.ZeroOrOne : ArgumentArity.ExactlyOne,
            });
        }

        options.Add(new Option<string>("--" + Config)
        {
            Description = "A JSON file with the same names as keys; comments are allowed.",
            HelpName = "file.json",
        });
        options.ForEach(root.Options.Add);

        bool run = false;
        root.SetAction(_ => run = true);
        ParseResult parsed = root.Parse(arguments);
        // One that may stand without a value would be given two in silence: --tls --tls off.
        if (parsed.RootCommandResult.Children.OfType<OptionResult>().FirstOrDefault(o => o.IdentifierTokenCount > 1) is { } repeated)
        {
            throw new OptionException($"{repeated.Option.Name} is given {repeated.IdentifierTokenCount} times; allowed: once. See --help");
        }

        if (parsed.Errors.Count > 0)
        {
            throw new OptionException(parsed.Errors[0].Message + " See --help");
        }

        parsed.Invoke();
        if (!run)
        {
            return null;
        }

        var given = new Dictionary<string, GivenOption>(StringComparer.Ordinal);
        foreach (Option<string> option in options)
        {
            if ((parsed.GetValue(option) ?? (parsed.GetResult(option) is null ? null : "on")) is { } value)
            {
                Set(given, option.Name[2..], value, "the command line");
            }
        }

        passwordInProcessList = given.ContainsKey("password");
        RefuseUnknown(environment);
        foreach ((string name, string variable) in Settings.All.Select(s => (s.Name, s.Variable)).Append((Config, ConfigVariable)))
        {
            if (!given.ContainsKey(name) && environment[variable] is string { Length: > 0 } value)
            {
                Set(given, name, value, $"the environment, {variable}");
            }
        }

        if (given.Remove(Config, out GivenOption? config))
        {
            foreach (GivenOption option in File(config))
            {
                if (!given.ContainsKey(option.Name))
                {
                    Set(given, option.Name, option.Value, option.Source);
                }
            }
        }

        return new OptionBinder(given).Bind();
    }

    /// <summary>A setting that is misspelt in the environment would be a default that nobody wanted.</summary>
    private static void RefuseUnknown(IDictionary environment)
    {
        string? unknown = environment.Keys.OfType<string>()
            .Where(v => v.StartsWith(Prefix, StringComparison.Ordinal) && !Others.Contains(v) && !Settings.All.Any(s => s.Variable == v)
                && !OfAKubernetesService().IsMatch($"{v}={environment[v]}"))
            .Order(StringComparer.Ordinal).FirstOrDefault();
        if (unknown is not null)
        {
            throw new OptionException(
                $"{unknown} in the environment is no setting; allowed: {string.Join(", ", Settings.All.Select(s => s.Variable))}");
        }
    }

    /// <summary>Settings of one monitor's security and HTTP, most of them files.</summary>
    internal static ImmutableHashSet<string> Secret { get; } =
    [
        .. SecurityRows.All.Select(s => s.Name), "password", "password-file", "http", "http-token-file", "http-cert-file", "http-key-file",
    ];

    /// <summary>What Kubernetes puts into every container beside a Service that is named redis-failover, or begins so.</summary>
    [GeneratedRegex("^REDIS_FAILOVER_(.*_)?(SERVICE_(HOST|PORT(_.*)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)=|^REDIS_FAILOVER_(.*_)?PORT=.*://")]
    private static partial Regex OfAKubernetesService();

    private static string Help(Setting setting) => $"{setting.Description} Allowed: {setting.Allowed}. Default: {setting.DefaultText}.";

    private static void Set(Dictionary<string, GivenOption> given, string name, string value, string source)
    {
        // A password from a stronger source beats a password file from a weaker one.
        if ((name == "password" && given.ContainsKey("password-file")) || (name == "password-file" && given.ContainsKey("password")))
        {
            return;
        }

        given[name] = new GivenOption(name, value, source);
    }

    private static List<GivenOption> File(GivenOption config)
    {
        try
        {
            using FileStream stream = System.IO.File.OpenRead(config.Value);
            using JsonDocument document = JsonDocument.Parse(stream, Relaxed);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw config.Wrong("a file that holds a JSON object");
            }

            List<GivenOption> options = [];
            foreach (JsonProperty property in document.RootElement.EnumerateObject())
            {
                if (property.Name == "$schema")
                {
                    continue;
                }

                // A file that names a file would have no end: "config" is no key.
                string name = Settings.Find(property.Name)?.Name ?? throw new OptionException(
                    $"'{property.Name}' in {config.Value} is no setting; allowed: {string.Join(", ", Settings.All.Select(s => s.Name))}");
                if (options.Any(option => option.Name == name))
                {
                    throw new OptionException($"'{property.Name}' in {config.Value}: {name} stands there twice; allowed: once");
                }

                options.Add(new GivenOption(
                    name, name == ClusterBinder.Clusters
                        ? Raw(property) : Text(property, config.Value), $"{config.Value}, \"{property.Name}\""));
            }

            return options;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // Bytes that are no UTF-8 show only when they are read.
            throw config.Wrong($"a JSON file ({e.Message})");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw config.Wrong($"a readable file ({e.Message})");
        }
    }

    /// <summary>At most so much of what was given that a message stays one line.</summary>
    internal static string Shortened(string text)
        => text.ReplaceLineEndings(" ") is { Length: > 60 } line ? line[..60] + "…" : text.ReplaceLineEndings(" ");

    private static string Raw(JsonProperty property)
        => property.Value.ValueKind == JsonValueKind.String ? property.Value.GetString()! : property.Value.GetRawText();

    /// <summary>A value as it would stand on the command line.</summary>
    internal static string Text(JsonProperty property, string source) => property.Value.ValueKind switch
    {
        JsonValueKind.String => property.Value.GetString()!,
        JsonValueKind.Number => property.Value.GetRawText(),
        JsonValueKind.Array => string.Join(
            ',', property.Value.EnumerateArray().Select(e => e.ValueKind == JsonValueKind.String ? e.GetString() : e.GetRawText())),
        _ => throw new OptionException(
            $"'{property.Name}' in {source} is {Shortened(property.Value.GetRawText())}; allowed: a string, a number or a list"),
    };
}
