using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace RedisFailover;

/// <summary>
/// An operator's request: a znode below <c>R/requests</c>. It asks for another master, or for a change of <c>R/config</c>. The leading
/// monitor answers it in place, once.
/// </summary>
/// <param name="Id">The znode's name.</param>
internal sealed record OperatorRequest(string Id)
{
    private const string What = "The request";

    /// <summary>The replica to become master; null lets the monitors choose.</summary>
    public NodeAddress? Target { get; init; }

    /// <summary>How long writes may be held before the switchover is undone; null: as the monitors are configured.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>
    /// Whether the target is promoted even though it is not fit, or a failover goes on although a node that may hold acknowledged
    /// writes is away: writes may be lost.
    /// </summary>
    public bool Force { get; init; }

    /// <summary>What it asks to be changed in <c>R/config</c>; null: it asks for another master.</summary>
    public ConfigChange? Change { get; init; }

    /// <summary>Whether it asks for another master: also one that nobody can read, which is refused as such.</summary>
    public bool IsSwitchover => Change is null && !IsFaultyChange;

    /// <summary>Who asks, for people.</summary>
    public string By { get; init; } = "";

    /// <summary>When, by the asking machine's wall clock (UTC).</summary>
    public DateTimeOffset At { get; init; }

    /// <summary>What became of it; null while it is pending.</summary>
    public RequestAnswer? Answer { get; init; }

    /// <summary>
    /// The znode's version when it was read: an answer is given to this version only, so that there is never a second one.
    /// </summary>
    public int Version { get; init; }

    /// <summary>Why it cannot be read; null when it can. It is refused for this reason.</summary>
    public string? Fault { get; init; }

    /// <summary>Whether it stands in <c>R/manual_failover</c>, which holds a text alone and is removed instead of answered.</summary>
    public bool IsManual { get; private init; }

    /// <summary>What <c>R/manual_failover</c> asks for; a text that makes no sense has a <see cref="Fault"/>.</summary>
    internal static OperatorRequest Manual(string text)
    {
        bool isAny = text.Length == 0 || text == ZnodePaths.AnyReplica;
        return new OperatorRequest("")
        {
            IsManual = true,
            Target = !isAny && NodeAddress.TryParse(text, out NodeAddress? target) ? target : null,
            Fault = isAny || NodeAddress.TryParse(text, out _)
                ? null : $"'{Words.Quoted(text)}' is neither host:port nor {ZnodePaths.AnyReplica}",
        };
    }

    /// <summary>The same wish as <c>R/manual_failover</c> would hold it.</summary>
    public string Wish => Target?.ToString() ?? ZnodePaths.AnyReplica;

    /// <summary>Reads a request; one that makes no sense has a <see cref="Fault"/>.</summary>
    public static OperatorRequest Parse(string id, ReadOnlyMemory<byte> utf8, int version)
    {
        try
        {
            return Json.Read(utf8, What, root => Parse(id, root, version));
        }
        catch (FormatException e)
        {
            return new OperatorRequest(id) { Fault = e.Message, Version = version };
        }
    }

    /// <summary>Whether it is a change of <c>R/config</c> that makes no sense.</summary>
    private bool IsFaultyChange { get; init; }

    private static OperatorRequest Parse(string id, JsonElement root, int version)
    {
        string kind = Json.Text(root, "kind", What) ?? "";
        if (ConfigChange.Kinds.Contains(kind))
        {
            return ParseChange(id, kind, root, version);
        }

        if (kind != "switchover")
        {
            throw new FormatException(
                $"{What}: \"kind\" is '{Words.Quoted(kind)}'; allowed: switchover, {string.Join(", ", ConfigChange.Kinds)}.");
        }

        long millis = Json.Number(root, "timeoutMillis", What);
        return new OperatorRequest(id)
        {
            Target = Json.Address(root, "target", What),
            Timeout = millis switch
            {
                0 => null,
                >= 100 and <= 60_000 => TimeSpan.FromMilliseconds(millis),
                _ => throw new FormatException($"{What}: \"timeoutMillis\" is {millis}; allowed: 100 to 60000."),
            },
            Force = Json.Flag(root, "force", What),
            By = Json.Text(root, "by", What) ?? "",
            At = When(root),
            Answer = Json.Object(root, "answer", What) is { } answer ? ParseAnswer(answer) : null,
            Version = version,
        };
    }

    private static OperatorRequest ParseChange(string id, string kind, JsonElement root, int version)
    {
        try
        {
            return new OperatorRequest(id)
            {
                Change = ConfigChange.Read(kind, root, What),
                By = Json.Text(root, "by", What) ?? "",
                At = When(root),
                Answer = Json.Object(root, "answer", What) is { } answer ? ParseAnswer(answer) : null,
                Version = version,
            };
        }
        catch (Exception e) when (e is FormatException or ArgumentException)
        {
            return new OperatorRequest(id) { Fault = e.Message, IsFaultyChange = true, Version = version };
        }
    }

    /// <summary>Writes it, with its answer if it has one, as UTF-8, indented.</summary>
    public byte[] Write() => Json.ObjectBytes(writer =>
    {
        writer.WriteString("kind", Change?.Kind ?? "switchover");
        if (Change is { } change)
        {
            change.Write(writer);
        }
        else
        {
            writer.WriteString("target", Target?.ToString());
            if (Timeout is { } timeout)
            {
                writer.WriteNumber("timeoutMillis", (long)timeout.TotalMilliseconds);
            }

            writer.WriteBoolean("force", Force);
        }

        writer.WriteString("by", By);
        writer.WriteString("at", Json.Iso(At));
        Write(writer, Answer);
    });

    private static void Write(Utf8JsonWriter writer, RequestAnswer? answer)
    {
        if (answer is null)
        {
            return;
        }

        writer.WriteStartObject("answer");
        writer.WriteString("outcome", answer.Outcome.ToString().ToLowerInvariant());
        writer.WriteString("reason", answer.Reason);
        writer.WriteString("master", answer.Master?.ToString());
        writer.WriteNumber("epoch", answer.Epoch);
        Json.Write(writer, "millis", answer.Millis);
        writer.WriteString("by", answer.By);
        writer.WriteString("at", Json.Iso(answer.At));
        writer.WriteEndObject();
    }

    private static RequestAnswer ParseAnswer(JsonElement answer) => new(
        Enum.TryParse(Json.Text(answer, "outcome", What), ignoreCase: true, out RequestOutcome outcome)
            ? outcome
            : throw new FormatException($"{What}: \"outcome\" is '{Json.Text(answer, "outcome", What)}'; allowed: done, refused, undone."),
        Json.Text(answer, "reason", What) ?? "",
        Json.Address(answer, "master", What),
        Json.Number(answer, "epoch", What))
    {
        Millis = Json.Millis(answer, "millis", What),
        By = Json.Text(answer, "by", What) ?? "",
        At = When(answer),
    };

    private static DateTimeOffset When(JsonElement parent)
        => DateTimeOffset.TryParse(Json.Text(parent, "at", What), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal,
            out DateTimeOffset at) ? at : default;
}

/// <summary>How a request ended.</summary>
internal enum RequestOutcome
{
    /// <summary>There is another master.</summary>
    Done,

    /// <summary>It was not begun.</summary>
    Refused,

    /// <summary>It was begun and given up: the master is who it was.</summary>
    Undone,
}

/// <summary>What became of a request.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Reason">Why, in plain words.</param>
/// <param name="Master">The master afterwards; null when there is none.</param>
/// <param name="Epoch">The topology's epoch afterwards.</param>
internal sealed record RequestAnswer(RequestOutcome Outcome, string Reason, NodeAddress? Master, long Epoch)
{
    /// <summary>
    /// How long each step took, in milliseconds, in order. The publication, of which the answer is a part, is not among them: the history
    /// has it.
    /// </summary>
    public ImmutableArray<KeyValuePair<string, double>> Millis { get; init; } = [];

    /// <summary>When, by the writer's wall clock (UTC); set by the writer.</summary>
    public DateTimeOffset At { get; init; }

    /// <summary>The monitor that answered; set by the writer.</summary>
    public string By { get; init; } = "";

    /// <summary>Compares by content, steps included.</summary>
    public bool Equals(RequestAnswer? other)
        => other is not null && (Outcome, Reason, Master, Epoch) == (other.Outcome, other.Reason, other.Master, other.Epoch)
            && (At, By) == (other.At, other.By) && Millis.AsSpan().SequenceEqual(other.Millis.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Outcome, Reason, Master, Epoch);
}
