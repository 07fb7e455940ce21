using System;
using System.Linq;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace RedisFailover.Client.Generator;

/// <summary>
/// Emits, for each class marked [GenerateFacade], every member of its StackExchange.Redis interfaces that the class does not
/// write itself, routed as routing.txt says. The interfaces are those of whichever StackExchange.Redis is referenced.
/// </summary>
[Generator(LanguageNames.CSharp)]
public sealed class FacadeGenerator : IIncrementalGenerator
{
    private const string Attribute = "RedisFailover.Client.GenerateFacadeAttribute";

    private static readonly DiagnosticDescriptor s_unsupported = new(
        "RFG001", "Write this member by hand",
        "{0} implements {1}, which is no method, returns a library's object or takes what cannot be kept: write it by hand",
        "RedisFailover", DiagnosticSeverity.Error, true);

    private static readonly DiagnosticDescriptor s_wrongLine = new(
        "RFG002", "Wrong line in routing.txt", "'{0}' is no line of routing.txt; allowed: read|either|write member-or-dash [COMMAND ...]",
            "RedisFailover", DiagnosticSeverity.Error, true);

    /// <inheritdoc/>
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        IncrementalValueProvider<RoutingTable> table = context.AdditionalTextsProvider
            .Where(text => text.Path.EndsWith("routing.txt", StringComparison.Ordinal))
            .Select((text, cancellation) => RoutingTable.Parse(text.GetText(cancellation)))
            .Collect()
            .Select((tables, _) => tables.IsEmpty ? RoutingTable.Empty : tables[0]);

        IncrementalValuesProvider<FacadeModel> facades = context.SyntaxProvider.ForAttributeWithMetadataName(
            Attribute, (_, _) => true, (found, _) => FacadeModel.Of(found));

        context.RegisterSourceOutput(facades.Combine(table), (output, pair) =>
        {
            foreach (string member in pair.Left.Unsupported)
            {
                output.ReportDiagnostic(Diagnostic.Create(s_unsupported, Location.None, pair.Left.Name, member));
            }

            output.AddSource(pair.Left.Name + ".g.cs", SourceText.From(FacadeWriter.Write(pair.Left, pair.Right), Encoding.UTF8));
        });

        context.RegisterSourceOutput(table, (output, rows) =>
        {
            foreach (RoutingTable.Row wrong in rows.Rows.Where(row => row.Class == "?"))
            {
                output.ReportDiagnostic(Diagnostic.Create(s_wrongLine, Location.None, wrong.Member));
            }

            if (rows.Rows.Count > 0)
            {
                output.AddSource("RoutingTable.g.cs", SourceText.From(FacadeWriter.Write(rows, "RedisFailover.Client"), Encoding.UTF8));
            }
        });
    }
}
