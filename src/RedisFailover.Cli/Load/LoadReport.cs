using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json.Serialization;

namespace RedisFailover.Cli.Load;

/// <summary>How often one kind of error came.</summary>
internal sealed record ErrorCount(
    [property: JsonPropertyName("operation")] string Operation,
    [property: JsonPropertyName("type")] string Type,
    [property: JsonPropertyName("message")] string Message,
    [property: JsonPropertyName("count")] long Count);

/// <summary>The outcome of a load run.</summary>
internal sealed record LoadReport
{
    [JsonPropertyName("seconds")]
    public required double Seconds { get; init; }

    /// <summary>Writes begun.</summary>
    [JsonPropertyName("writes")]
    public required long Writes { get; init; }

    [JsonPropertyName("acknowledged")]
    public required long Acknowledged { get; init; }

    /// <summary>Writes that ended in an error; they do not count as lost, whether or not they were applied.</summary>
    [JsonPropertyName("failedWrites")]
    public required long FailedWrites { get; init; }

    /// <summary>Of the failed writes, those that got no reply and may have been applied.</summary>
    [JsonPropertyName("ambiguousWrites")]
    public required long AmbiguousWrites { get; init; }

    /// <summary>Of the failed writes, those that are known not to have been applied.</summary>
    [JsonPropertyName("notAppliedWrites")]
    public required long NotAppliedWrites { get; init; }

    [JsonPropertyName("reads")]
    public required long Reads { get; init; }

    [JsonPropertyName("failedReads")]
    public required long FailedReads { get; init; }

    /// <summary>Reads that did not find an acknowledged write: the replica that answered had not received it yet, or it is lost.</summary>
    [JsonPropertyName("staleReads")]
    public required long StaleReads { get; init; }

    [JsonPropertyName("longestGapMillis")]
    public required double LongestGapMillis { get; init; }

    [JsonPropertyName("longestGapFrom")]
    public string? LongestGapFrom { get; init; }

    [JsonPropertyName("longestGapTo")]
    public string? LongestGapTo { get; init; }

    /// <summary>Acknowledged writes that the master does not have at the end; null when it could not be asked.</summary>
    [JsonPropertyName("lostAcknowledgedWrites")]
    public required long? Lost { get; init; }

    /// <summary>Every kind of error that came, the most frequent first; the counts add up to all that failed.</summary>
    [JsonPropertyName("errors")]
    public ImmutableArray<ErrorCount> Errors { get; init; } = [];

    internal IEnumerable<string> Lines()
    {
        yield return Line($"writes                     {Writes}: {Acknowledged} acknowledged, {FailedWrites} failed{Failures()}");
        yield return Line(
            $"reads                      {Reads}: {FailedReads} failed, {StaleReads} did not see an acknowledged write (yet)");
        if (Errors.IsEmpty)
        {
            yield return "errors                     none";
        }

        foreach (ErrorCount error in Errors)
        {
            yield return Line($"errors                     {error.Count} x {error.Operation}: {error.Type}: {error.Message}");
        }

        string until = LongestGapTo is null ? "" : $", until {LongestGapTo}";
        yield return Acknowledged == 0 ? "longest gap                no write was acknowledged at all"
            : Line($"longest gap                {LongestGapMillis:0.0} ms between two acknowledged writes{until}");
        string loss = Lost is { } lost ? Line($"{lost} of {Acknowledged}") : "not known: the master could not be asked";
        yield return $"lost acknowledged writes   {loss}";

        string Failures()
        {
            long others = FailedWrites - AmbiguousWrites - NotAppliedWrites;
            return FailedWrites == 0 ? ""
                : Line($" ({AmbiguousWrites} may have been applied, {NotAppliedWrites} were not applied, {others} otherwise)");
        }

        static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
    }
}
